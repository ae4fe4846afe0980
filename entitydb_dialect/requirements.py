"""What SQLAlchemy's test suite may ask of this dialect, for its plugin's option --requirements.

Two tables over SQLAlchemy's defaults: what is open here and closed there, and what is closed here, each with a reason.
Everything that SQLite's own dialect opens is open or stands in the second table.
"""

# mypy: ignore-errors

from sqlalchemy.testing import exclusions
from sqlalchemy.testing.requirements import SuiteRequirements

_OPEN = """
    aggregate_order_by autocommit boolean_col_expressions check_constraint_reflection column_collation_reflection
    computed_columns computed_columns_reflect_persisted computed_columns_stored computed_columns_virtual
    create_table_as create_temp_table_as ctes ctes_with_update_delete ctes_with_values date_historic
    datetime_historic datetime_literals dbapi_lastrowid deferrable_fks emulated_lastrowid
    emulated_lastrowid_even_with_sequences except_ expression_server_defaults fetch_expression
    fetch_offset_with_options fk_constraint_option_reflection_ondelete_noaction
    fk_constraint_option_reflection_ondelete_restrict fk_constraint_option_reflection_onupdate_restrict
    float_or_double_precision_behaves_generically foreign_key_constraint_name_reflection
    foreign_key_constraint_option_reflection_ondelete foreign_key_constraint_option_reflection_onupdate
    has_temp_table index_ddl_if_exists indexes_check_column_order indexes_with_expressions infinity_floats
    inline_check_constraint_reflection intersect isolation_level json_array_indexes json_type
    legacy_unconditional_json_extract mod_operator_as_percent_sign non_updating_cascade nullsordering nvarchar_types
    order_by_collation order_by_label_with_expression percent_schema_names precision_numerics_enotation_small
    precision_numerics_retains_significant_digits reflect_indexes_with_expressions reflect_table_options
    reflects_pk_names regexp_match repeated_column_foreign_keys repeated_remote_col_foreign_keys savepoints
    server_defaults skip_autocommit_rollback supports_bitwise_and supports_bitwise_not supports_bitwise_or
    supports_bitwise_shift supports_bitwise_xor table_ddl_if_exists temp_table_names temporary_views
    timestamp_microseconds timestamp_microseconds_implicit_bound tuple_in tuple_in_w_empty unicode_ddl update_from
    views window_functions window_range window_range_numeric
""".split()  # noqa: SIM905 - a hundred quotation marks less

_CLOSED = {
    # The suite's limits.
    "no_lastrowid_support": "it is for drivers without lastrowid, and there is one",
    "server_side_cursors": "it asks only drivers that it knows by name; streams have tests of their own",
    # Left out.
    "comment_reflection": "a schema has no comments",
    "comment_reflection_full_unicode": "a schema has no comments",
    "constraint_comment_reflection": "a schema has no comments",
    "temp_table_comment_reflection": "a schema has no comments",
    "cross_schema_fk_reflection": "a foreign key stays within its file",
    "two_phase_transactions": "a transaction is prepared and committed in one step",
    # As with SQLite: what its grammar or its types do not have.
    "array_type": "there are no arrays; JSON stands for them",
    "cast_precision_numerics_many_significant_digits": "NUMERIC is stored as REAL: 15 digits",
    "computed_columns_default_persisted": "a generated column that does not say STORED is virtual",
    "create_or_replace_view": "there is no CREATE OR REPLACE",
    "ctes_on_dml": "the body of a CTE is a SELECT",
    "datetime_interval": "an interval is stored as a moment after 1970, so that sums of both are not",
    "default_schema_name_switch": "the default schema is main",
    "delete_from": "DELETE takes one table; a subquery says the others",
    "denormalized_names": "names are given back as they were written",
    "fetch_first": "LIMIT is there, FETCH FIRST is not",
    "fetch_no_order_by": "LIMIT is there, FETCH FIRST is not",
    "fetch_percent": "LIMIT is there, FETCH FIRST is not",
    "fetch_ties": "LIMIT is there, FETCH FIRST is not",
    "foreign_keys_reflect_as_index": "a foreign key makes no index",
    "identity_columns": "an integer key numbers itself; Identity() is taken and adds nothing",
    "identity_columns_standard": "an integer key numbers itself; Identity() is taken and adds nothing",
    "implicit_default_schema": "tables of the default schema need no name before theirs, and have none",
    "implicitly_named_constraints": "an unnamed constraint has no name",
    "index_reflects_included_columns": "an index has no INCLUDE",
    "json_deserializer_binary": "JSON is text, and so is what a deserializer gets",
    "json_index_supplementary_unicode_element": "SQLite's JSON paths do not take it",
    "materialized_views": "views are not materialized",
    "materialized_views_reflect_pk": "views are not materialized",
    "nested_aggregates": "SQLite does not take them",
    "numeric_received_as_decimal_untyped": "an untyped number is a float",
    "parens_in_union_contained_select_w_limit_offset": "SQLite's grammar has no parentheses there",
    "parens_in_union_contained_select_wo_limit_offset": "SQLite's grammar has no parentheses there",
    "precision_numerics_many_significant_digits": "NUMERIC is stored as REAL: 15 digits",
    "reflect_indexes_with_ascdesc_as_expression": "a descending column of an index is a column",
    "reflect_tables_no_columns": "a table has a column",
    "regexp_replace": "regexp_match is there; a function of one's own replaces",
    "schema_create_delete": "a schema is an attached file: ATTACH and DETACH",
    "sequences": "there are no sequences; integer keys number themselves",
    "sequences_optional": "there are no sequences; integer keys number themselves",
    "supports_distinct_on": "DISTINCT ON is PostgreSQL's",
    "table_value_constructor": "VALUES in FROM takes no names of columns",
    "time_timezone": "times are stored as text without a zone",
    "unique_constraints_reflect_as_index": "the index of a unique constraint is reflected as the constraint alone",
    "unique_index_reflect_as_unique_constraints": "a unique index is reflected as an index alone",
    "uuid_data_type": "a UUID is stored as 32 characters",
    "window_range_non_numeric": "SQLite has it for numbers only",
}


class Requirements(SuiteRequirements):
    """The suite's questions answered for EntityDB."""

    def get_isolation_levels(self, config):
        supported = ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE", "AUTOCOMMIT"]
        return {"default": "REPEATABLE READ", "supported": supported}

    def get_order_by_collation(self, config):
        return "NOCASE"

    @property
    def view_reflection(self):
        return self.views

    view_column_reflection = view_reflection

    @property
    def datetime_timezone(self):
        return exclusions.only_if(lambda config: config.db.dialect.name == "entitydb", "SQLite keeps no zone")

    datetime_timezone_historic = datetime_timezone

    @property
    def async_dialect(self):
        return exclusions.only_if(lambda config: config.db.dialect.is_async)


def _closed(reason):
    def rule(self):
        return exclusions.skip_if(lambda config: True, reason)

    return property(rule, doc=reason)


for _name in _OPEN:
    setattr(Requirements, _name, property(lambda self: exclusions.open()))
for _name, _reason in _CLOSED.items():
    setattr(Requirements, _name, _closed(_reason))
