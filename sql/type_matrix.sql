-- The functions and operators of each type, with their properties: a hole shows as a missing row.
CREATE TEMP VIEW member AS
    SELECT classid, objid FROM pg_depend
    WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
      AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'hnsw');
CREATE TEMP VIEW type AS
    SELECT pg_type.oid, typname::text AS name FROM pg_type JOIN member
        ON classid = 'pg_type'::regclass AND objid = pg_type.oid WHERE typcategory <> 'A' AND typtype = 'b';
SELECT name FROM type ORDER BY 1;
-- T stands for the type. Functions that take T or whose name starts with it.
SELECT * FROM (SELECT replace(replace(replace(pg_proc.oid::regprocedure::text, 'double precision', 'float8'), 'integer', 'int'), name, 'T') AS function,
       replace(prorettype::regtype::text, name, 'T') AS returns,
       CASE prokind WHEN 'a' THEN 'aggregate' ELSE 'function' END AS kind,
       provolatile AS volatile, proisstrict AS strict, proparallel AS parallel,
       string_agg(name, ' ' ORDER BY name) AS types
    FROM pg_proc JOIN member ON classid = 'pg_proc'::regclass AND objid = oid
    JOIN type ON type.oid = ANY (proargtypes::oid[]) OR type.oid = prorettype OR proname LIKE name || '\_%'
    GROUP BY 1, 2, 3, 4, 5, 6) AS f ORDER BY function COLLATE "C";
SELECT * FROM (SELECT o.oprname AS operator, replace(o.oprresult::regtype::text, name, 'T') AS result,
       replace(o.oprcode::text, name, 'T') AS function, c.oprname AS commutator, n.oprname AS negator,
       o.oprrest AS restrict, o.oprjoin AS join, o.oprcanmerge AS merges, o.oprcanhash AS hashes,
       string_agg(name, ' ' ORDER BY name) AS types
    FROM pg_operator AS o JOIN member ON classid = 'pg_operator'::regclass AND objid = o.oid
    JOIN type ON type.oid IN (o.oprleft, o.oprright)
    LEFT JOIN pg_operator AS c ON c.oid = o.oprcom LEFT JOIN pg_operator AS n ON n.oid = o.oprnegate
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9) AS o ORDER BY operator COLLATE "C";
SELECT amname AS am, replace(opcname, name, 'T') AS class, opcdefault AS default,
       amvalidate(pg_opclass.oid) AS valid, string_agg(name, ' ' ORDER BY name) AS types
    FROM pg_opclass JOIN member ON classid = 'pg_opclass'::regclass AND objid = pg_opclass.oid
    JOIN type ON type.oid = opcintype JOIN pg_am ON pg_am.oid = opcmethod
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2;
-- Every function of the extension has a comment.
SELECT objid::regprocedure FROM member
    WHERE classid = 'pg_proc'::regclass AND obj_description(objid, 'pg_proc') IS NULL;
