"""What the database hides from our roles: rows, by row level security, and tables, by missing privileges.

A row that is not visible is not missing. Each role has `row_security = off`, so PostgreSQL raises an error
where it would filter; this module names the tables. Two ways permit a role to read a table with row level
security: the attribute BYPASSRLS, and an operator's word that its policies show every row:
`ALTER ROLE … SET row_security = on`.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, text

from ..content.product import PRODUCT

OPEN_ROWS = (
    "as an administrator, ALTER ROLE … BYPASSRLS; or, if a policy shows the role every row, "
    "ALTER ROLE … SET row_security = 'on'"
)
"""The two ways in which a role may read a table with row level security."""

# The roles that a migration has granted its tables, and the migrator, with whose privileges triggers run.
OUR_ROLES = text("""
SELECT pg_get_userbyid(g.grantee) FROM pg_class v, aclexplode(v.relacl) g
WHERE v.oid = to_regclass('content_schema_version') AND g.grantee <> 0
UNION SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass('content_schema_version')
UNION SELECT current_user
""")

# The owner of a table sees every row, unless row level security is forced. DELETE stands for all writes: the
# writer has it on each table of the product, and a table that the product has created again has no grant.
FAULTS = text(r"""
WITH roles AS (SELECT * FROM pg_roles WHERE rolname = ANY(:roles))
SELECT 'row level security of ' || string_agg(c.relname, ', ' ORDER BY c.relname) || ' applies to '
    || r.rolname AS fault
FROM roles r, pg_class c
WHERE c.relnamespace = to_regnamespace(quote_ident(current_schema())) AND c.relrowsecurity
    AND (c.relname = ANY(:product) OR c.relname LIKE 'content\_%' OR c.relname = 'generation_tokens')
    AND NOT r.rolsuper AND NOT r.rolbypassrls
    AND (c.relforcerowsecurity OR NOT pg_has_role(r.oid, c.relowner, 'USAGE'))
    AND NOT EXISTS (SELECT FROM pg_db_role_setting s
        WHERE s.setrole = r.oid AND 'row_security=on' = ANY(s.setconfig))
GROUP BY r.rolname
UNION ALL
SELECT r.rolname || ' has no right to ' || p.privilege || ' on ' || string_agg(t.name, ', ' ORDER BY t.name)
FROM roles r, unnest(CAST(:product AS text[])) AS t (name), (VALUES ('SELECT'), ('DELETE')) AS p (privilege)
WHERE NOT has_table_privilege(r.oid, to_regclass(t.name), p.privilege)
    AND (p.privilege = 'SELECT' OR has_table_privilege(r.oid, to_regclass('content_attempts'), 'INSERT'))
GROUP BY r.rolname, p.privilege
ORDER BY 1
""")


def visibility_faults(connection: Connection, roles: Collection[str] | None = None) -> Sequence[str]:
    """Sentences about the tables that these roles, by default all of ours, may not see or change. Reads only
    the catalogue, which every role may read.
    """
    names = connection.scalars(OUR_ROLES).all() if roles is None else roles
    return connection.scalars(FAULTS, {"roles": list(names), "product": list(PRODUCT)}).all()
