"""How the rows of `reference.sites` would look to who sees bytes: as text, and as numbers of a program's."""

import numpy as np


def numbers_of(rows):
    """[N, 2], age and dose of each row; where a dose is missing, NaN."""
    return np.array([[float(row["age"]), float(row["dose"] or "nan")] for row in rows])


def encoded(rows, columns):
    """The numbers of all rows as a program may have them: as they are, and normalised as ``columns`` of a schema say;
    of single and double precision, of either byte order."""
    raw = numbers_of(rows)
    scale = {column.name: (column.mean, column.std) for column in columns if column.name in ("age", "dose")}
    (age, dose) = scale["age"], scale["dose"]
    normalised = ((raw - (age[0], dose[0])) / (age[1], dose[1])).astype(np.float32)
    return [found.astype(kind) for found in (raw, normalised) for kind in ("<f4", ">f4", "<f8", ">f8")]


def traces(rows, columns):
    """What must be nowhere: patients and values as they stand in the file, and both numbers of a row together, in each
    encoding. At least 7 bytes each, of which none is found by chance."""
    found = set()
    for row in rows:
        found |= {f"{row['patient']},", f"{row['age']},{row['ward']}"}
        found |= {f",{row[name]}," for name in ("age", "dose") if row[name]}
    complete = ~np.isnan(numbers_of(rows)).any(1)
    binary = {row.tobytes() for table in encoded(rows, columns) for row in table[complete]}
    return {text.encode() for text in found} | binary


def found_in(data, wanted):
    """Those of ``wanted`` that stand in ``data``."""
    return {each for each in wanted if each in data}
