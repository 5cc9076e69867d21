"""The product's schema, as its own models create it on PostgreSQL (`create_all`, read on 2026-12-01): the
tables that this system reads or writes, and all that refer to them. Only primary keys are unique, a `varchar`
has no length, and a time may be NULL.
"""

CREATE_ALL = """
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO alembic_version VALUES ('product_newest');
CREATE TABLE roadmap_metadata (
    roadmap_id varchar PRIMARY KEY, user_id varchar NOT NULL, title varchar NOT NULL,
    total_estimated_hours float NOT NULL, recommended_completion_weeks integer NOT NULL,
    framework_data json, created_at timestamp, deleted_at timestamp, deleted_by varchar);
CREATE INDEX ON roadmap_metadata (user_id);
CREATE TABLE roadmap_tasks (
    task_id varchar PRIMARY KEY, user_id varchar NOT NULL, status varchar NOT NULL,
    current_step varchar NOT NULL, user_request json, roadmap_id varchar, task_type varchar,
    concept_id varchar, content_type varchar, celery_task_id varchar, created_at timestamp,
    updated_at timestamp, completed_at timestamp, error_message text, failed_concepts json,
    execution_summary json);
CREATE INDEX ON roadmap_tasks (user_id);
CREATE TABLE tutorial_metadata (
    tutorial_id varchar PRIMARY KEY, concept_id varchar NOT NULL,
    roadmap_id varchar NOT NULL REFERENCES roadmap_metadata, title varchar NOT NULL, summary text,
    content_url varchar NOT NULL, content_status varchar NOT NULL, content_version integer NOT NULL,
    is_latest boolean NOT NULL, estimated_completion_time integer NOT NULL, generated_at timestamp);
CREATE INDEX ON tutorial_metadata (is_latest); CREATE INDEX ON tutorial_metadata (roadmap_id);
CREATE INDEX ON tutorial_metadata (concept_id);
CREATE TABLE resource_recommendation_metadata (
    id varchar PRIMARY KEY, concept_id varchar NOT NULL,
    roadmap_id varchar NOT NULL REFERENCES roadmap_metadata, resources json,
    resources_count integer NOT NULL, search_queries_used json, generated_at timestamp);
CREATE INDEX ON resource_recommendation_metadata (roadmap_id);
CREATE INDEX ON resource_recommendation_metadata (concept_id);
CREATE TABLE quiz_metadata (
    quiz_id varchar PRIMARY KEY, concept_id varchar NOT NULL,
    roadmap_id varchar NOT NULL REFERENCES roadmap_metadata, questions json,
    total_questions integer NOT NULL, easy_count integer NOT NULL, medium_count integer NOT NULL,
    hard_count integer NOT NULL, generated_at timestamp);
CREATE INDEX ON quiz_metadata (roadmap_id); CREATE INDEX ON quiz_metadata (concept_id);
CREATE TABLE quiz_attempts (
    id varchar PRIMARY KEY, user_id varchar NOT NULL,
    roadmap_id varchar NOT NULL REFERENCES roadmap_metadata, concept_id varchar NOT NULL,
    quiz_id varchar NOT NULL REFERENCES quiz_metadata, total_questions integer NOT NULL,
    correct_answers integer NOT NULL, score_percentage float NOT NULL, incorrect_question_indices json,
    attempted_at timestamp);
CREATE INDEX ON quiz_attempts (user_id); CREATE INDEX ON quiz_attempts (quiz_id);
CREATE INDEX ON quiz_attempts (concept_id); CREATE INDEX ON quiz_attempts (roadmap_id);
CREATE TABLE concept_progress (
    id varchar PRIMARY KEY, user_id varchar NOT NULL,
    roadmap_id varchar NOT NULL REFERENCES roadmap_metadata, concept_id varchar NOT NULL,
    is_completed boolean NOT NULL, completed_at timestamp, created_at timestamp, updated_at timestamp);
CREATE INDEX ON concept_progress (concept_id); CREATE INDEX ON concept_progress (roadmap_id);
CREATE INDEX ON concept_progress (user_id);
CREATE TABLE human_review_feedbacks (
    id varchar PRIMARY KEY, task_id varchar NOT NULL REFERENCES roadmap_tasks, roadmap_id varchar NOT NULL,
    user_id varchar NOT NULL, approved boolean NOT NULL, feedback_text text, roadmap_version_snapshot json,
    review_round integer NOT NULL, created_at timestamp);
CREATE INDEX ON human_review_feedbacks (task_id); CREATE INDEX ON human_review_feedbacks (roadmap_id);
CREATE INDEX ON human_review_feedbacks (review_round); CREATE INDEX ON human_review_feedbacks (user_id);
CREATE TABLE intent_analysis_metadata (
    id varchar PRIMARY KEY, task_id varchar NOT NULL REFERENCES roadmap_tasks, roadmap_id varchar,
    parsed_goal text, key_technologies json, difficulty_profile text, time_constraint text,
    recommended_focus json, user_profile_summary text, skill_gap_analysis json,
    personalized_suggestions json, estimated_learning_path_type varchar, content_format_weights json,
    language_preferences json, full_analysis_data json, created_at timestamp);
CREATE INDEX ON intent_analysis_metadata (roadmap_id);
CREATE UNIQUE INDEX ON intent_analysis_metadata (task_id);
CREATE TABLE roadmap_edit_records (
    id varchar PRIMARY KEY, task_id varchar NOT NULL REFERENCES roadmap_tasks, roadmap_id varchar NOT NULL,
    origin_framework_data json, modified_framework_data json, modification_summary text,
    modified_node_ids json, edit_round integer NOT NULL, created_at timestamp);
CREATE INDEX ON roadmap_edit_records (roadmap_id); CREATE INDEX ON roadmap_edit_records (task_id);
CREATE TABLE structure_validation_records (
    id varchar PRIMARY KEY, task_id varchar NOT NULL REFERENCES roadmap_tasks, roadmap_id varchar NOT NULL,
    is_valid boolean NOT NULL, overall_score float NOT NULL, issues json, dimension_scores json,
    improvement_suggestions json, validation_summary text, validation_round integer NOT NULL,
    critical_count integer NOT NULL, warning_count integer NOT NULL, suggestion_count integer NOT NULL,
    created_at timestamp);
CREATE INDEX ON structure_validation_records (roadmap_id);
CREATE INDEX ON structure_validation_records (task_id);
CREATE TABLE edit_plan_records (
    id varchar PRIMARY KEY, task_id varchar NOT NULL REFERENCES roadmap_tasks, roadmap_id varchar NOT NULL,
    feedback_id varchar NOT NULL REFERENCES human_review_feedbacks, feedback_summary text,
    scope_analysis text, intents json, preservation_requirements json, full_plan_data json,
    confidence varchar, needs_clarification boolean NOT NULL, clarification_questions json,
    execution_status varchar NOT NULL, created_at timestamp);
CREATE INDEX ON edit_plan_records (roadmap_id); CREATE INDEX ON edit_plan_records (task_id);
CREATE INDEX ON edit_plan_records (execution_status); CREATE INDEX ON edit_plan_records (feedback_id);
"""

# Since January 2026.
CONCEPT_METADATA = """
CREATE TABLE concept_metadata (
    concept_id varchar PRIMARY KEY, roadmap_id varchar NOT NULL REFERENCES roadmap_metadata,
    tutorial_status varchar NOT NULL, tutorial_id varchar, tutorial_completed_at timestamp,
    resources_status varchar NOT NULL, resources_id varchar, resources_completed_at timestamp,
    quiz_status varchar NOT NULL, quiz_id varchar, quiz_completed_at timestamp,
    overall_status varchar NOT NULL, all_content_completed_at timestamp, created_at timestamp,
    updated_at timestamp);
CREATE INDEX ON concept_metadata (roadmap_id); CREATE INDEX ON concept_metadata (resources_status);
CREATE INDEX ON concept_metadata (overall_status); CREATE INDEX ON concept_metadata (quiz_status);
CREATE INDEX ON concept_metadata (tutorial_status);
"""

EXECUTION_LOGS = """
CREATE TABLE execution_logs (
    id varchar PRIMARY KEY, task_id varchar NOT NULL, roadmap_id varchar, concept_id varchar,
    level varchar NOT NULL, category varchar NOT NULL, step varchar, agent_name varchar, message text,
    details json, duration_ms integer, created_at timestamp);
CREATE INDEX ON execution_logs (category); CREATE INDEX ON execution_logs (level);
CREATE INDEX ON execution_logs (roadmap_id); CREATE INDEX ON execution_logs (step);
CREATE INDEX ON execution_logs (agent_name); CREATE INDEX ON execution_logs (concept_id);
CREATE INDEX ON execution_logs (task_id);
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
