"""Data that is hidden from our roles: rows, by row level security, and tables, by missing privileges.

A row that is not visible is not missing. Each role has `row_security = off`, so PostgreSQL raises an error
where it would filter; this module names the tables. Two ways permit a role to read a table with row level
security: the attribute BYPASSRLS, and an operator's word that its policies show every row.
"""

from sqlalchemy import Connection, text

from ..content.product import PRODUCT
from ..contracts.api.system import DatabaseFinding

ROWS_HIDDEN = "rows_hidden"

# Of the roles: those that a migration has granted its tables, and the migrator, whose privileges the triggers
# have. The owner of a table sees every row, unless row level security is forced. DELETE stands for all
# writes: the writer has it on each table of the product, and a table that was created again has no grant.
FIND = text(r"""
WITH roles AS (
    SELECT * FROM pg_roles WHERE rolname = current_user OR rolname = ANY(:roles) OR oid IN (
        SELECT unnest(v.relowner || ARRAY(SELECT grantee FROM aclexplode(v.relacl)))
        FROM pg_class v WHERE v.oid = to_regclass('content_schema_version'))
)
SELECT 'rows_hidden' AS kind, c.relname AS object, 'row level security hides rows from '
    || string_agg(r.rolname, ', ' ORDER BY r.rolname) || ': as an administrator, ALTER ROLE … BYPASSRLS; or, '
    'if a policy shows the role every row, ALTER ROLE … SET row_security = on' AS message
FROM roles r, pg_class c
WHERE c.relnamespace = to_regnamespace(quote_ident(current_schema())) AND c.relrowsecurity
    AND (c.relname = ANY(:product) OR c.relname LIKE 'content\_%' OR c.relname = 'generation_tokens')
    AND NOT r.rolsuper AND NOT r.rolbypassrls
    AND (c.relforcerowsecurity OR NOT pg_has_role(r.oid, c.relowner, 'USAGE'))
    AND NOT EXISTS (SELECT FROM pg_db_role_setting s
        WHERE s.setrole = r.oid AND 'row_security=on' = ANY(s.setconfig))
GROUP BY c.relname
UNION ALL
SELECT 'privilege_missing', t.name, r.rolname || ' has no right to '
    || string_agg(p.privilege, ', ' ORDER BY p.privilege) || ': migrate'
FROM roles r, unnest(CAST(:product AS text[])) AS t (name), (VALUES ('SELECT'), ('DELETE')) AS p (privilege)
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
