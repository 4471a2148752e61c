"""Prints Parquet files as JSON documents, one a line, read by pyarrow with page checksums verified.

Floats are hexadecimal text, a text a list: their little-endian bytes, so that they compare bit for bit.
"""

import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq


def cells(array):
    """The values of an array, floats in lists as hexadecimal text."""
    valid = array.is_valid().to_pylist()
    if pa.types.is_struct(array.type):
        fields = {field.name: cells(array.field(i)) for i, field in enumerate(array.type)}
        return [
            {name: values[row] for name, values in fields.items()} if valid[row] else None
            for row in range(len(array))
        ]
    if not pa.types.is_list(array.type):
        return array.to_pylist()
    if array.values.null_count > 0:
        raise SystemExit(f"a list holds {array.values.null_count} NULLs")
    ends = array.offsets.to_pylist()
    if pa.types.is_float32(array.values.type):
        # Through the raw buffer: a Python float would lose NaN payloads on the way.
        raw = memoryview(array.values.buffers()[1] or b"")
        first = array.values.offset
        part = lambda start, end: raw[4 * (first + start) : 4 * (first + end)].tobytes().hex()
    else:
        values = cells(array.values)
        part = lambda start, end: values[start:end]
    return [part(ends[row], ends[row + 1]) if valid[row] else None for row in range(len(array))]


def chunk(column):
    statistics = column.statistics
    bounds = statistics is not None and statistics.has_min_max
    return {
        "path": column.path_in_schema,
        "entries": column.num_values,
        "encodings": list(column.encodings),
        "compression": column.compression,
        "statistics": None
        if statistics is None
        else {
            "nullCount": statistics.null_count if statistics.has_null_count else None,
            "min": statistics.min if bounds else None,
            "max": statistics.max if bounds else None,
        },
    }


def document(path):
    file = pq.ParquetFile(path, page_checksum_verification=True)
    metadata = file.metadata
    table = file.read()
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    return {
        "schema": [f"{field.name}: {field.type}" for field in table.schema],
        "keyValues": {
            key.decode(): value.decode()
            for key, value in (metadata.metadata or {}).items()
            if key != b"ARROW:schema"
        },
        "createdBy": metadata.created_by,
        "rowGroups": [group.num_rows for group in groups],
        "chunks": [[chunk(group.column(i)) for i in range(group.num_columns)] for group in groups],
        "columns": [
            {"name": name, "type": str(table.schema.field(name).type), "cells": cells(table.column(name).combine_chunks())}
            for name in table.column_names
        ],
    }


for path in sys.argv[1:]:
    print(json.dumps(document(path)))
