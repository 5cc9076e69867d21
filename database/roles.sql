-- The three roles of this system in a database. Run once, as the owner of the database or as an administrator.
-- docs/deploy.md, "Database roles", describes how each role logs in. Each migration grants the privileges
-- on tables and functions.

-- Migrates the schema and owns the tables that it creates. Used only by MigrateDatabaseFunction.
CREATE ROLE roadmap_migrator LOGIN;
-- Reads and writes rows. Used by all steps of a run, and by the changing requests of the API.
CREATE ROLE roadmap_writer LOGIN;
-- Reads rows. Used by all reads of the API.
CREATE ROLE roadmap_reader LOGIN;

GRANT USAGE, CREATE ON SCHEMA public TO roadmap_migrator;
GRANT USAGE ON SCHEMA public TO roadmap_writer, roadmap_reader;
-- A migration rehearses its release as the two.
GRANT roadmap_writer, roadmap_reader TO roadmap_migrator;

-- The settings of their sessions, for RDS Proxy, which refuses those that a client sets at connect time. The
-- first four hold where the database has other ones.
ALTER ROLE roadmap_migrator SET timezone = 'UTC';
ALTER ROLE roadmap_migrator SET datestyle = 'ISO';
ALTER ROLE roadmap_migrator SET default_transaction_isolation = 'read committed';
ALTER ROLE roadmap_migrator SET standard_conforming_strings = 'on';
ALTER ROLE roadmap_writer SET timezone = 'UTC';
ALTER ROLE roadmap_writer SET datestyle = 'ISO';
ALTER ROLE roadmap_writer SET default_transaction_isolation = 'read committed';
ALTER ROLE roadmap_writer SET standard_conforming_strings = 'on';
ALTER ROLE roadmap_writer SET statement_timeout = '30s';
ALTER ROLE roadmap_writer SET lock_timeout = '3s';
ALTER ROLE roadmap_writer SET idle_in_transaction_session_timeout = '30s';
ALTER ROLE roadmap_writer SET client_connection_check_interval = '1s';
ALTER ROLE roadmap_writer SET tcp_keepalives_idle = '30';
ALTER ROLE roadmap_writer SET tcp_keepalives_interval = '10';
ALTER ROLE roadmap_writer SET tcp_keepalives_count = '3';
ALTER ROLE roadmap_writer SET jit = 'off';
ALTER ROLE roadmap_reader SET timezone = 'UTC';
ALTER ROLE roadmap_reader SET datestyle = 'ISO';
ALTER ROLE roadmap_reader SET default_transaction_isolation = 'read committed';
ALTER ROLE roadmap_reader SET standard_conforming_strings = 'on';
ALTER ROLE roadmap_reader SET statement_timeout = '30s';
ALTER ROLE roadmap_reader SET lock_timeout = '3s';
ALTER ROLE roadmap_reader SET idle_in_transaction_session_timeout = '30s';
ALTER ROLE roadmap_reader SET client_connection_check_interval = '1s';
ALTER ROLE roadmap_reader SET tcp_keepalives_idle = '30';
ALTER ROLE roadmap_reader SET tcp_keepalives_interval = '10';
ALTER ROLE roadmap_reader SET tcp_keepalives_count = '3';
ALTER ROLE roadmap_reader SET jit = 'off';

-- PostgreSQL raises an error where row level security would hide rows: a row that is not visible is not
-- missing. If the product's tables have row level security, give all three roles BYPASSRLS.
ALTER ROLE roadmap_writer SET row_security = 'off';
ALTER ROLE roadmap_reader SET row_security = 'off';
