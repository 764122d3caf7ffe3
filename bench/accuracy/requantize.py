#!/usr/bin/env python3
"""Writes a GGUF file with its matrices in another type, quantised by ggml itself.

    bench/accuracy/requantize.py IN.gguf TYPE[,TYPE] OUT_DIRECTORY LIBRARY     (needs gguf and numpy)

LIBRARY is llama.cpp's libggml-base.so. All matrices whose rows the type's blocks divide get the type, the embedding
table too: unlike llama-quantize's mixtures, a file shows one type alone. No importance matrix.
"""

import ctypes
import sys
from pathlib import Path

import gguf
import numpy as np


def quantise(library: ctypes.CDLL, values: np.ndarray, kind: gguf.GGMLQuantizationType) -> np.ndarray:
    rows, columns = values.shape
    block, size = gguf.GGML_QUANT_SIZES[kind]
    out = np.empty((rows, columns // block * size), np.uint8)
    source = np.ascontiguousarray(values, np.float32)
    written = library.ggml_quantize_chunk(int(kind), source.ctypes.data_as(ctypes.c_void_p),
                                          out.ctypes.data_as(ctypes.c_void_p), 0, rows, columns, None)
    assert written == out.nbytes, (written, out.nbytes)
    return out


def copy_fields(reader: gguf.GGUFReader, writer: gguf.GGUFWriter) -> None:
    for field in reader.fields.values():
        if field.name == gguf.Keys.General.ARCHITECTURE or field.name.startswith("GGUF."):
            continue
        kind = field.types[0]
        element = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=element)


def main() -> None:
    source, types, out, library = Path(sys.argv[1]), sys.argv[2].split(","), Path(sys.argv[3]), ctypes.CDLL(sys.argv[4])
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64,
                                            ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
    out.mkdir(parents=True, exist_ok=True)
    for name in types:
        kind = gguf.GGMLQuantizationType[name.upper()]
        block = gguf.GGML_QUANT_SIZES[kind][0]
        reader = gguf.GGUFReader(source)
        architecture = reader.fields[gguf.Keys.General.ARCHITECTURE].contents()
        writer = gguf.GGUFWriter(out / f"{source.stem}-{name.upper()}.gguf", architecture)
        copy_fields(reader, writer)
        for tensor in reader.tensors:
            values = np.array(tensor.data)
            if values.ndim == 2 and values.shape[1] % block == 0:
                writer.add_tensor(tensor.name, quantise(library, values, kind), raw_dtype=kind)
            else:
                writer.add_tensor(tensor.name, values)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        print(out / f"{source.stem}-{name.upper()}.gguf")


if __name__ == "__main__":
    main()
