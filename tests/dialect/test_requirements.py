"""What SQLAlchemy's suite may ask of us, held against what it may ask of pysqlite."""

from __future__ import annotations

import types
from typing import Any

import pytest
from sqlalchemy import create_engine, testing
from sqlalchemy.testing import config, exclusions
from sqlalchemy.testing.requirements import SuiteRequirements

from entitydb_dialect import requirements as ours

# What is open over pysqlite on a file, for SQLAlchemy 2.0 and 2.1: `tests/upstream/list_requirements.py` prints it.
PYSQLITE = """
    ad_hoc_engines arraysize asyncio autocommit autoincrement_insert autoincrement_without_sequence
    binary_comparisons binary_literals boolean_col_expressions bound_limit_offset cextensions
    check_constraint_reflection computed_columns computed_columns_reflect_persisted computed_columns_stored
    computed_columns_virtual cpython create_table create_table_as create_temp_table_as ctes ctes_with_values date
    date_coerces_from_datetime date_historic date_implicit_bound datetime datetime_historic datetime_implicit_bound
    datetime_literals datetime_microseconds dbapi_lastrowid delete_returning dialect_level_isolation_level_param
    drop_table duplicate_key_raises_integrity_error duplicate_names_in_cursor_description empty_inserts
    empty_inserts_executemany empty_strings_text empty_strings_varchar emulated_lastrowid
    emulated_lastrowid_even_with_sequences except_ expression_server_defaults expressions_against_unbounded_text
    fail_python314b1 fetch_expression fetch_null_from_numeric fetch_offset_with_options fetch_rows_post_commit
    fk_constraint_option_reflection_ondelete_noaction fk_constraint_option_reflection_ondelete_restrict
    fk_constraint_option_reflection_onupdate_restrict float_cast float_is_numeric
    float_or_double_precision_behaves_generically floats_to_four_decimals foreign_key_constraint_name_reflection
    foreign_key_constraint_option_reflection_ondelete foreign_key_constraint_option_reflection_onupdate
    foreign_key_constraint_reflection foreign_key_ddl generic_classes get_isolation_level_values gil_enabled
    graceful_disconnects greenlet group_by_complex_expression implements_get_lastrowid implicit_decimal_binds
    independent_readonly_connections index_ddl_if_exists index_reflection indexes_check_column_order
    indexes_with_ascdesc indexes_with_expressions infinity_floats inline_check_constraint_reflection
    insert_executemany_returning insert_from_select insert_returning insertmanyvalues intersect is64bit
    isolation_level json_array_indexes json_type legacy_unconditional_json_extract like_escapes
    literal_float_coercion mod_operator_as_percent_sign multivalues_inserts named_constraints no_sqlalchemy2_stubs
    no_windows non_updating_cascade not_python314 nullable_booleans nullsordering nvarchar_types offset only_linux
    order_by_col_from_union order_by_collation order_by_label_with_expression percent_schema_names posix
    precision_generic_float_type precision_numerics_enotation_large precision_numerics_enotation_small
    precision_numerics_general precision_numerics_retains_significant_digits predictable_gc
    primary_key_constraint_reflection queue_pool recursive_fk_cascade reflect_indexes_with_ascdesc
    reflect_table_options reflects_pk_names regexp_match repeated_column_foreign_keys
    repeated_remote_col_foreign_keys sane_multi_rowcount sane_rowcount schema_reflection schemas selectone
    self_referential_foreign_keys server_defaults skip_autocommit_rollback skip_mysql_on_windows
    sql_expression_limit_offset sqlite standalone_binds standalone_null_binds_whereclause standard_cursor_sql
    subqueries supports_bitwise_and supports_bitwise_not supports_bitwise_or supports_bitwise_shift
    supports_bitwise_xor supports_is_distinct_from supports_lastrowid symbol_names_w_double_quote
    table_ddl_if_exists table_reflection text_type time time_implicit_bound time_microseconds tuple_in
    tuple_in_w_empty unbounded_varchar unicode_connections unicode_data unicode_data_no_special_types unicode_ddl
    unique_constraint_reflection unusual_column_name_characters up_to_date_typealias_type update_from
    update_returning update_returning_dialect_not_supported update_where_target_in_subquery view_column_reflection
    view_reflection views window_functions window_range window_range_numeric
""".split()  # noqa: SIM905 - fewer quotation marks

# What the suite asks of the machine and of its own setting, not of a database.
NOT_OF_A_DATABASE = {"async_dialect", "freethreading", "no_coverage", "no_greenlet", "patch_library", "pep649"}
NOT_OF_A_DATABASE |= {"sqlalchemy2_stubs", "threading_with_mock", "up_to_date_typealias_type"}
NOT_OF_A_DATABASE |= {name for name in dir(SuiteRequirements) if name.startswith(("python3", "only_"))}


@pytest.fixture(scope="module")
def answers() -> dict[str, bool]:
    """Requirement: whether it is open."""
    engine = create_engine("entitydb://")
    asked: Any = types.SimpleNamespace(db=engine, name="entitydb", is_async=False, options=None)
    before = config._current, config.requirements, testing.requires
    requirements: Any = ours.Requirements()
    config._current, config.requirements, testing.requires = asked, requirements, requirements
    found = {}
    for name in sorted(set(dir(SuiteRequirements)) - NOT_OF_A_DATABASE):
        rule = getattr(requirements, name)
        if isinstance(rule, exclusions.compound):
            found[name] = rule.enabled_for_config(asked)
    config._current, config.requirements, testing.requires = before
    engine.dispose()
    return found


def test_what_pysqlite_opens_is_open_or_has_a_reason(answers: dict[str, bool]) -> None:
    assert len(PYSQLITE) > 150
    closed = {name for name in PYSQLITE if answers.get(name) is False}
    assert closed == closed & set(ours._CLOSED)


def test_what_is_closed_says_why(answers: dict[str, bool]) -> None:
    closed = {name for name, is_open in answers.items() if not is_open}
    assert closed - set(ours._CLOSED) == set()
    assert all(len(reason.split()) > 2 for reason in ours._CLOSED.values())


def test_nothing_is_said_to_be_closed_that_is_open(answers: dict[str, bool]) -> None:
    assert [name for name in ours._CLOSED if answers.get(name)] == []
    assert set(ours._OPEN) & set(ours._CLOSED) == set()


def test_more_is_open_than_over_pysqlite(answers: dict[str, bool]) -> None:
    more = {name for name, is_open in answers.items() if is_open} - set(PYSQLITE)
    assert more >= {
        "column_collation_reflection",
        "ctes_with_update_delete",
        "deferrable_fks",
        "foreign_keys",
        "has_temp_table",
        "independent_connections",
        "on_update_cascade",
        "sane_rowcount_w_returning",
        "savepoints",
        "temp_table_names",
        "temp_table_reflection",
        "temporary_tables",
        "temporary_views",
        "timestamp_microseconds",
    }
