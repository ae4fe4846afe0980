"""What SQLAlchemy's test suite may ask of this dialect, for its plugin's option --requirements.

Two tables over SQLAlchemy's defaults: what is open here and closed there, and what is closed here, each with a reason.
Everything that SQLite's own dialect opens is open or stands in the second table.
"""

# mypy: ignore-errors

from sqlalchemy.testing import exclusions
from sqlalchemy.testing.requirements import SuiteRequirements

_OPEN = """
    autocommit boolean_col_expressions check_constraint_reflection computed_columns create_table_as ctes
    create_temp_table_as ctes_with_values date_historic datetime_historic datetime_literals dbapi_lastrowid
    deferrable_fks emulated_lastrowid emulated_lastrowid_even_with_sequences except_ expression_server_defaults
    fetch_expression fetch_offset_with_options fk_constraint_option_reflection_ondelete_noaction
    fk_constraint_option_reflection_ondelete_restrict fk_constraint_option_reflection_onupdate_restrict
    float_or_double_precision_behaves_generically foreign_key_constraint_name_reflection
    foreign_key_constraint_option_reflection_ondelete foreign_key_constraint_option_reflection_onupdate
    has_temp_table index_ddl_if_exists indexes_check_column_order infinity_floats inline_check_constraint_reflection
    intersect isolation_level json_array_indexes json_type legacy_unconditional_json_extract
    mod_operator_as_percent_sign non_updating_cascade nullsordering nvarchar_types order_by_collation
    order_by_label_with_expression percent_schema_names precision_numerics_enotation_small
    precision_numerics_retains_significant_digits reflect_table_options reflects_pk_names regexp_match
    repeated_column_foreign_keys repeated_remote_col_foreign_keys savepoints server_defaults
    skip_autocommit_rollback supports_bitwise_and supports_bitwise_not supports_bitwise_or supports_bitwise_shift
    supports_bitwise_xor table_ddl_if_exists temp_table_names temporary_views tuple_in tuple_in_w_empty unicode_ddl
    update_from views window_functions window_range window_range_numeric
""".split()  # noqa: SIM905 - a hundred quotation marks less

_CLOSED = {
    # Not there yet.
    "indexes_with_expressions": "indexes on expressions are not there yet",
    # The suite's limits.
    "server_side_cursors": "it asks only drivers that it knows by name; streams have tests of their own",
    # As with SQLite.
    "cast_precision_numerics_many_significant_digits": "NUMERIC is stored as REAL: 15 digits",
    "implicitly_named_constraints": "an unnamed constraint has no name",
    "json_index_supplementary_unicode_element": "SQLite's JSON paths do not take it",
    "nested_aggregates": "SQLite does not take them",
    "numeric_received_as_decimal_untyped": "an untyped number is a float",
    "parens_in_union_contained_select_w_limit_offset": "SQLite's grammar has no parentheses there",
    "parens_in_union_contained_select_wo_limit_offset": "SQLite's grammar has no parentheses there",
    "precision_numerics_many_significant_digits": "NUMERIC is stored as REAL: 15 digits",
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
    def computed_columns_reflect_persisted(self):
        return self.computed_columns

    computed_columns_stored = computed_columns_virtual = computed_columns_reflect_persisted

    @property
    def view_reflection(self):
        return self.views

    view_column_reflection = view_reflection

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
