"""Make up the records of five clinics, which differ in size and in their patients: one CSV file each, in sites/."""

from pathlib import Path

import numpy as np

CLINICS = {"aarau": 240, "basel": 400, "chur": 120, "davos": 160, "genf": 320}  # and their numbers of patients
WARDS = ("medicine", "surgery", "geriatrics")


def main() -> None:
    """Write the files; the same at every call."""
    rng = np.random.default_rng(0)
    folder = Path("sites")
    folder.mkdir(exist_ok=True)
    for clinic, (name, patients) in enumerate(CLINICS.items()):
        age = rng.normal(55 + 5 * clinic, 12, patients).clip(18, 99).round()
        stay = rng.gamma(2.0, 3.0, patients).round(1)
        ward = rng.choice(WARDS, patients, p=np.roll((0.6, 0.3, 0.1), clinic))
        risk = 0.06 * (age - 65) + 0.2 * (stay - 6) + (ward == "geriatrics") + rng.logistic(0, 0.7, patients)
        lines = [
            f"{a:.0f},{s},{w},{'yes' if r > 0 else 'no'}" for a, s, w, r in zip(age, stay, ward, risk, strict=True)
        ]
        (folder / f"{name}.csv").write_text("\n".join(["age,stay,ward,readmitted", *lines]) + "\n")


if __name__ == "__main__":
    main()
