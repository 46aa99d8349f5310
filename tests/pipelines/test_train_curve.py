from pipelines.train_curve import curve_csv, read_curve


def test_a_curve_survives_its_file_with_all_digits_and_gaps() -> None:
    rows = [
        {"step": 16.0, "loss": 2.302585092994046},
        {"step": 32.0, "loss": 0.1 + 0.2, "probe.accuracy_under_noise": 1 / 3},
    ]

    assert read_curve(curve_csv(rows)) == rows
