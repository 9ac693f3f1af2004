"""A job from Python: done once, whatever was killed on the way."""

import pytest

from counterpoint.errors import InputError
from counterpoint.table import TableModel, jobs


def begin(run, step):
    (run / "member-0" / "checkpoints" / f"step-{step:08d}").mkdir(parents=True)


def test_a_job_leaves_its_model_and_nothing_else(fitted, tmp_path):
    runs = []

    def make(run):
        runs.append(run)
        begin(run, 3)
        return fitted

    jobs.run_once(tmp_path / "m", "one", make)
    assert TableModel.identity(tmp_path / "m") == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    with pytest.raises(InputError, match="exists already"):
        jobs.run_once(tmp_path / "m", "two", make)
    assert runs == [tmp_path / "m.run"]
    assert jobs.finished(tmp_path / "m") is None


def test_a_job_that_failed_after_a_step_is_gone_on_with_and_not_mixed_up(fitted, tmp_path):
    def fail(run):
        begin(run, 3)
        raise RuntimeError("killed")

    def go_on(run):
        assert (run / "member-0" / "checkpoints" / "step-00000003").is_dir()
        return fitted

    with pytest.raises(RuntimeError, match="killed"):
        jobs.run_once(tmp_path / "m", "one", fail)
    with pytest.raises(InputError, match="unfinished work on another table"):
        jobs.run_once(tmp_path / "m", "two", fail)
    jobs.run_once(tmp_path / "m", "one", go_on)
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_job_that_failed_before_a_step_leaves_nothing(tmp_path):
    def fail(run):
        begin(run, 0)
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        jobs.run_once(tmp_path / "m", "one", fail)
    assert not list(tmp_path.iterdir())


def test_a_job_killed_before_it_tidied_up_is_known_and_tidied(fitted, tmp_path):
    run = tmp_path / "m.run"
    jobs.run_once(tmp_path / "m", "one", lambda run: fitted)
    begin(run, 3)
    (run / "identity").write_text("one")
    assert jobs.finished(tmp_path / "m") == "one"
    assert not run.exists()


def test_a_job_that_is_yet_to_end_is_left_alone(fitted, tmp_path):
    run = tmp_path / "m.run"
    jobs.run_once(tmp_path / "m", "one", lambda run: fitted)
    begin(run, 3)
    (run / "identity").write_text("two")
    assert jobs.finished(tmp_path / "m") is None
    assert run.exists()
