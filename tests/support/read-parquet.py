"""Prints a Parquet file as one JSON document, read by pyarrow with page checksums verified.

Floats are hexadecimal (8 digits, the bits of a float32, most significant first), so that they compare bit for bit.
"""

import json
import struct
import sys

import pyarrow as pa
import pyarrow.parquet as pq

file = pq.ParquetFile(sys.argv[1], page_checksum_verification=True)
table = file.read()


def bits(values):
    return None if values is None else [struct.pack(">f", value).hex() for value in values]


def column(name):
    values = table.column(name)
    if pa.types.is_list(values.type):
        # Through the raw buffer: a Python float would lose NaN payloads on the way.
        flat = values.combine_chunks()
        raw = memoryview(flat.flatten().buffers()[1] or b"") if len(flat) else b""
        start = flat.flatten().offset * 4 if len(flat) else 0
        result = []
        for item in flat:
            if not item.is_valid:
                result.append(None)
                continue
            size = len(item.values)
            result.append(
                [raw[start + 4 * i : start + 4 * i + 4].tobytes()[::-1].hex() for i in range(size)]
            )
            start += 4 * size
        return result
    return values.to_pylist()


metadata = file.metadata
print(
    json.dumps(
        {
            "schema": [f"{field.name}: {field.type}" for field in table.schema],
            "keyValues": {
                key.decode(): value.decode()
                for key, value in (metadata.metadata or {}).items()
                if key != b"ARROW:schema"
            },
            "createdBy": metadata.created_by,
            "rowGroups": [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)],
            "keyBounds": [
                [statistics.min, statistics.max]
                for statistics in (
                    metadata.row_group(i).column(0).statistics for i in range(metadata.num_row_groups)
                )
            ],
            "columns": {name: column(name) for name in table.column_names},
        }
    )
)
