"""Data that is hidden from our roles: rows, by row level security, and tables, by missing privileges.

A row that is not visible is not missing. While a policy may hide rows from a session's role, its transactions
have `row_security = off` (`GUARD`), so that PostgreSQL raises an error where it would filter; this module
names the tables and policies. Two ways permit a role to read such a table: the attribute BYPASSRLS, and the
statement of an operator that each policy shows the role every row, because no catalogue has what an
expression hides.
"""

from sqlalchemy import Connection, text

from ..content.product import PRODUCT
from ..contracts.api.system import DatabaseFinding

ROWS_HIDDEN = "rows_hidden"

# The tables `c` with policies `p` that may hide rows from the role `r`. The owner of a table sees every row,
# unless row level security is forced. Without a permissive policy for reads (`*`: all commands, `r`: SELECT),
# nothing is visible. Every row is shown if each policy's comment names the role, and an operator has set
# `row_security = on` for it. Role 0 is PUBLIC.
_HIDING = rf"""
pg_class c CROSS JOIN LATERAL (
    SELECT coalesce(string_agg(p.polname, ', ' ORDER BY p.polname), 'no policy') AS names,
        coalesce(bool_or(p.polpermissive AND p.polcmd IN ('*', 'r'))
            AND bool_and(coalesce(r.rolname = ANY(string_to_array(
                split_part(obj_description(p.oid, 'pg_policy'), 'shows every row to ', 2), ', ')), false)),
            false) AND EXISTS (SELECT FROM pg_db_role_setting s
                WHERE s.setrole = r.oid AND 'row_security=on' = ANY(s.setconfig)) AS every_row_is_shown
    FROM pg_policy p WHERE p.polrelid = c.oid AND EXISTS (
        SELECT FROM unnest(p.polroles) AS m WHERE m = 0 OR pg_has_role(r.oid, m, 'USAGE'))) AS p
WHERE c.relnamespace = to_regnamespace(quote_ident(current_schema())) AND c.relrowsecurity
    AND (c.relname IN ({", ".join(f"'{table}'" for table in PRODUCT)})
        OR c.relname LIKE 'content\_%' OR c.relname = 'generation_tokens')
    AND NOT r.rolsuper AND NOT r.rolbypassrls
    AND (c.relforcerowsecurity OR NOT pg_has_role(r.oid, c.relowner, 'USAGE')) AND NOT p.every_row_is_shown
"""

# The inner condition is planned only in sessions that would filter.
GUARD = f"""
DO $guard$ BEGIN
    IF CAST(current_setting('row_security') AS boolean) THEN
        IF EXISTS (SELECT FROM pg_roles r, {_HIDING} AND r.rolname = current_user) THEN
            SET LOCAL row_security = off;
        END IF;
    END IF;
END $guard$
"""
"""The first statement of each transaction."""

# Finds the tables that may hide rows from one of our roles, and the privileges that it lacks on the
# product's. The roles are those that a migration has granted its tables, and the migrator, whose privileges
# the triggers have, and `:roles`. DELETE stands for all writes: the writer (the role that inserts attempts)
# has it on each table of the product, and a table that was created again has no grant.
FIND = text(f"""
WITH our_roles AS (
    SELECT * FROM pg_roles WHERE rolname = current_user OR rolname = ANY(:roles) OR oid IN (
        SELECT unnest(v.relowner || ARRAY(SELECT grantee FROM aclexplode(v.relacl)))
        FROM pg_class v WHERE v.oid = to_regclass('content_schema_version'))
)
SELECT 'rows_hidden' AS kind, c.relname AS object, 'row level security (' || max(p.names)
    || ') may hide rows from ' || string_agg(r.rolname, ', ' ORDER BY r.rolname)
    || ': as an administrator, ALTER ROLE … BYPASSRLS; or, if each policy shows the role every row, '
    'ALTER ROLE … SET row_security = on, and '
    'COMMENT ON POLICY … IS ''shows every row to …''' AS message
FROM our_roles r, {_HIDING}
GROUP BY c.relname
UNION ALL
SELECT 'privilege_missing', t.name, r.rolname || ' has no right to '
    || string_agg(p.privilege, ', ' ORDER BY p.privilege) || ': migrate'
FROM our_roles r, unnest(CAST(:product AS text[])) AS t (name),
    (VALUES ('SELECT'), ('DELETE')) AS p (privilege)
WHERE NOT has_table_privilege(r.oid, to_regclass(t.name), p.privilege)
    AND (p.privilege = 'SELECT' OR has_table_privilege(r.oid, to_regclass('content_attempts'), 'INSERT'))
GROUP BY t.name, r.rolname
ORDER BY 1, 2, 3
""")


def find_hidden(connection: Connection, *roles: str) -> list[DatabaseFinding]:
    """The tables that our roles may not see or change. Reads only the catalogue. An adoption names `roles`,
    which have no grants yet.
    """
    found = connection.execute(FIND, {"product": list(PRODUCT), "roles": list(roles)})
    return [DatabaseFinding(**row._mapping) for row in found]
