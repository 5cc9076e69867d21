"""The variants of the product's schema, written from a description."""

# As created by `create_all`: only primary keys are unique, and `varchar` has no length.
CREATE_ALL = """
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO alembic_version VALUES ('product_newest');
CREATE TABLE roadmap_metadata (
    roadmap_id varchar PRIMARY KEY, user_id varchar NOT NULL, title varchar NOT NULL,
    total_estimated_hours double precision NOT NULL, recommended_completion_weeks integer NOT NULL,
    framework_data json NOT NULL, created_at timestamp NOT NULL, deleted_at timestamp, deleted_by varchar);
CREATE TABLE roadmap_tasks (
    task_id varchar PRIMARY KEY, user_id varchar NOT NULL, status varchar NOT NULL,
    current_step varchar NOT NULL, user_request json NOT NULL, roadmap_id varchar,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL, completed_at timestamp, error_message text, failed_concepts json,
    execution_summary json, task_type varchar, concept_id varchar, content_type varchar,
    celery_task_id varchar);
CREATE TABLE tutorial_metadata (
    tutorial_id varchar PRIMARY KEY, concept_id varchar NOT NULL,
    roadmap_id varchar NOT NULL REFERENCES roadmap_metadata, title varchar NOT NULL, summary text NOT NULL,
    content_url varchar NOT NULL, content_status varchar NOT NULL, content_version integer NOT NULL,
    is_latest boolean NOT NULL, estimated_completion_time integer NOT NULL, generated_at timestamp NOT NULL);
CREATE TABLE resource_recommendation_metadata (
    id varchar PRIMARY KEY, concept_id varchar NOT NULL,
    roadmap_id varchar NOT NULL REFERENCES roadmap_metadata, resources json NOT NULL,
    resources_count integer NOT NULL, search_queries_used json, generated_at timestamp NOT NULL);
CREATE TABLE quiz_metadata (
    quiz_id varchar PRIMARY KEY, concept_id varchar NOT NULL,
    roadmap_id varchar NOT NULL REFERENCES roadmap_metadata, questions json NOT NULL,
    total_questions integer NOT NULL, easy_count integer NOT NULL, medium_count integer NOT NULL,
    hard_count integer NOT NULL, generated_at timestamp NOT NULL);
CREATE TABLE quiz_attempts (
    attempt_id varchar PRIMARY KEY, user_id varchar NOT NULL,
    quiz_id varchar NOT NULL CONSTRAINT quiz_attempts_quiz_id_fkey REFERENCES quiz_metadata,
    score integer NOT NULL, created_at timestamp NOT NULL);
"""

# Since January 2026.
CONCEPT_METADATA = """
CREATE TABLE concept_metadata (
    concept_id varchar PRIMARY KEY, roadmap_id varchar NOT NULL REFERENCES roadmap_metadata,
    tutorial_status varchar NOT NULL, tutorial_id varchar, tutorial_completed_at timestamp,
    resources_status varchar NOT NULL, resources_id varchar, resources_completed_at timestamp,
    quiz_status varchar NOT NULL, quiz_id varchar, quiz_completed_at timestamp,
    overall_status varchar NOT NULL, all_content_completed_at timestamp,
    created_at timestamp NOT NULL, updated_at timestamp NOT NULL);
"""

EXECUTION_LOGS = """
CREATE TABLE execution_logs (
    id varchar PRIMARY KEY, task_id varchar NOT NULL, roadmap_id varchar, concept_id varchar,
    level varchar NOT NULL, category varchar NOT NULL, step varchar, agent_name varchar,
    message text NOT NULL, details json, duration_ms integer, created_at timestamp NOT NULL);
"""

CONSTRAINTS = """
ALTER TABLE tutorial_metadata
    ADD CONSTRAINT uq_tutorial UNIQUE (roadmap_id, concept_id, content_version);
ALTER TABLE resource_recommendation_metadata
    ADD CONSTRAINT uq_resources UNIQUE (roadmap_id, concept_id);
ALTER TABLE quiz_metadata ADD CONSTRAINT uq_quiz UNIQUE (roadmap_id, concept_id);
"""

FORMS = {
    "create_all": CREATE_ALL + CONCEPT_METADATA + EXECUTION_LOGS,
    "with_constraints": CREATE_ALL + CONCEPT_METADATA + EXECUTION_LOGS + CONSTRAINTS,
    "before_2026": CREATE_ALL,
}
