#!/usr/bin/env python3
"""The pages of a cluster in a real browser: Flink's own dashboard, unmodified, of two versions, and Weir's page.

What   Each page of the dashboard shows what REST says of three jobs (one that runs, has restarted and has checkpoints
       and a savepoint; one that has failed; one that has finished), and of the cluster. None of them complains, asks for
       what is not there, or shows a number or a name that is none. The buttons that cancel do.
How    The dashboard's files are those of Flink's jar, served as OPERATIONS.md says (web.ui-dir). Checkpoints are
       taken when the test asks, so pages stand still, but for how far the job is: that is met between two looks at REST.
"""
import os
import re
import unittest

import broker
import browser
import cluster
import flink_client
import program

RATE = 2000
FINISHED_COUNT = 3000
NOT_A_VALUE = re.compile(r"\b(undefined|NaN|Infinity|null)\b|\[object |Server Response Message:")
# What the dashboard complains of by itself, of a graph and of an editor whose page is left before they are ready.
# And of what Weir does not have, as Flink may have it switched off: 404, and the page of it says so.
EXPECTED = ("/profiler", "/jars", "Failed to read the 'value' property from 'SVGLength'",
            "Cannot read properties of null (reading 'layout')")
IS_PAINTED = """[...document.querySelectorAll('canvas')].some(it => it.width * it.height > 0 &&
    it.getContext('2d').getImageData(0, 0, it.width, it.height).data.some(one => one > 0))"""
EXPAND = """[...document.querySelectorAll('.ant-table-row-expand-icon-collapsed')].filter(
    it => it.getClientRects().length)[0].click()"""


class _Pages:
    """A cluster with the jobs, and a browser."""

    SETTINGS = {}

    @classmethod
    def setUpClass(cls):
        broker.or_skip(browser.find)

    def setUp(self):
        super().setUp()
        self.cluster = cluster.Cluster(self.directory, task_managers=1, slots=4, settings=self.SETTINGS)
        self.addCleanup(self.cluster.close)
        self.browser = browser.Browser(self.directory)
        self.addCleanup(self.browser.close)
        self.url = f"http://127.0.0.1:{self.cluster.rest_ports[0]}/"

    def start_running(self, name="running"):
        """It goes on and on, and takes no checkpoint by itself."""
        job = self.cluster.submit("steady", "--count", 10 ** 9, "--rate", RATE, "--tell", "--parallelism", 2, "--output",
                                  self.directory / name, "--checkpoints", self.directory / f"{name}-checkpoints",
                                  "--checkpoint-interval", "1h", "--restart-delay", "20ms")
        job.wait("RUNNING")
        return job

    def start_restarted(self):
        job = self.start_running()
        job.checkpoint()
        cluster.hurt(min(self.cluster.workers(job=job)))
        self.cluster.wait_until("it has restarted", lambda: job.restarts() > 0)
        job.wait("RUNNING")
        job.checkpoint()
        self.savepoint = job.savepoint(self.directory / "savepoints")
        return job

    def start_failed(self):
        job = self.cluster.submit("rogue", "--crime", "fail", "--restart", "none", "--output", self.directory / "failed")
        job.wait("FAILED")
        return job

    def start_finished(self):
        job = self.cluster.submit("steady", "--count", FINISHED_COUNT, "--output", self.directory / "finished",
                                  "--checkpoints", self.directory / "finished-checkpoints")
        job.wait("FINISHED")
        return job

    def assert_well(self, text):
        """Nothing on the page is amiss but what is expected, which may come when the next one is there already."""
        self.assertNotRegex(text, NOT_A_VALUE)
        self.assertEqual([it for it in self.browser.trouble() if not any(one in it for one in EXPECTED)], [])


class _Dashboard(_Pages):
    VERSION = None
    KINDS = ("job",)  # of what can be cancelled

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        broker.or_skip(flink_client.fetch_dashboard, cls.VERSION)
        cls.SETTINGS = {"web.ui-dir": flink_client.DASHBOARD / cls.VERSION / "web"}

    def setUp(self):
        super().setUp()
        self.browser.show(self.url)
        self.browser.wait_for("Apache Flink Dashboard", "Available Task Slots")

    def look(self, fragment, *words):
        """The page has the words and nothing amiss; returns its text."""
        self.browser.go(f"#{fragment}")
        text = self.browser.wait_for(*words)
        self.assert_well(text)
        return text

    def look_at_growing(self, job, fragment, pattern, *words):
        """The number of records that the second vertex has read is on the page, between two looks at REST."""
        def read():
            return job.vertices()[1]["metrics"]["read-records"]
        low = read()
        self.look(fragment, *words)

        def shown():
            found = re.search(pattern, self.browser.text())
            number = int(found.group(1).replace(",", "")) if found else -1
            return number if number >= low else None
        number = self.cluster.wait_until(f"{pattern}, at least {low}, on {fragment}", shown, browser.LIMIT_S)
        self.assertLessEqual(number, read())

    def test_each_page_shows_what_rest_says(self):
        failed, finished, running = self.start_failed(), self.start_finished(), self.start_restarted()
        self.look_at_lists(running, failed, finished)
        self.look_at_running(running)
        self.look_at_vertex(running)
        self.look_at_checkpoints(running)
        self.look_at_over(failed, finished)
        self.look_at_task_manager(running)
        self.look_at_job_manager()

    def look_at_lists(self, running, failed, finished):
        for fragment, title, jobs in (("/overview", "Total Task Slots4Task Managers1", (running, failed, finished)),
                                      ("/job/running", "Running Jobs Job Name", (running,)),
                                      ("/job/completed", "Completed Jobs Job Name", (failed, finished))):
            text = self.look(fragment, title, *(job.get()["name"] for job in jobs), *(job.state() for job in jobs))
            self.assertNotIn("Submit New Job", text)
        self.look("/submit", "No Data")  # for who knows the address: off, as Flink's can be

    def look_at_running(self, job):
        at = f"/job/running/{job.id}"
        names = [vertex["name"] for vertex in job.vertices()]
        self.look(f"{at}/overview", job.id, "Cancel Job", *names, "HASH", "Parallelism: 2", "Busy (max):")
        self.look_at_growing(job, f"{at}/overview", names[1] + r" RUNNING \S+ \S+ ([\d,]+) 0 B 0 2 ")
        (failure,) = job.get("/exceptions")["exceptionHistory"]["entries"]
        self.look(f"{at}/exceptions", "Root Exception", "it was killed by SIGKILL")
        self.browser.click("Exception History")
        self.look(f"{at}/exceptions", f"{failure['exceptionName']} {failure['taskName']} {failure['taskManagerId']}")
        self.look(f"{at}/dataskew", "Vertex Data Skew Percentage", *names)
        self.look(f"{at}/timeline", "Vertex TimeLine")
        self.cluster.wait_until("the time line is painted", lambda: self.browser.evaluate(IS_PAINTED))
        config = job.get("/config")["execution-config"]
        self.look(f"{at}/configuration", config["restart-strategy"], "Job parallelism 2",
                  *(f"{key} {value}" for key, value in config["user-config"].items()))

    def look_at_vertex(self, job):
        vertex, attempt = job.vertices()[1], job.restarts() + 1
        at = f"/job/running/{job.id}/overview/{vertex['id']}"
        sub = job.get(f"/vertices/{vertex['id']}")["subtasks"][1]
        self.look_at_growing(job, f"{at}/detail", r"Records Received ([\d,]+) Bytes Sent",
                             f"{vertex['name']} State RUNNING Parallelism 2 Max Parallelism {vertex['maxParallelism']}")
        self.look(f"{at}/subtasks", "Subtask Metrics", f" 0 B 0 {attempt} {sub['endpoint']} ")
        self.browser.click("Aggregated Metrics")
        self.look(f"{at}/subtasks", "Median", "INITIALIZING Duration - -", "RUNNING Duration", "Accumulated Busy Time")
        self.look(f"{at}/taskmanagers", "Endpoint Bytes received", f"{sub['endpoint']} ")
        self.look(f"{at}/watermarks", "SubTask Watermark", "0 No Watermark", "1 No Watermark")
        self.look(f"{at}/accumulators", "SubTask Accumulators", "No Data")
        self.look(f"{at}/backpressure", "Back Pressure Status: OK", f"1 [attempt-{attempt}]")
        self.look(f"{at}/flamegraph", "flame graph feature is currently disabled")
        self.look(f"{at}/metrics", "Add Metric:")
        self.browser.evaluate("document.querySelector('nz-select').click()")
        self.look(f"{at}/metrics", "0.numRecordsIn", "0.count.numRecordsIn")

    def look_at_checkpoints(self, job):
        shown, config = job.get("/checkpoints"), job.get("/checkpoints/config")
        counts, latest = shown["counts"], shown["latest"]
        at = f"/job/running/{job.id}/checkpoints"
        self.look(at, f"Triggered: {counts['total']} In Progress: 0 Completed: {counts['completed']} Failed: 0 Restored: 1",
                  f"Latest Completed Checkpoint ID: {latest['completed']['id']}", latest["completed"]["external_path"],
                  f"Latest Savepoint ID: {latest['savepoint']['id']}", f"Path: {self.savepoint}",
                  f"Latest Restore ID: {latest['restored']['id']}", "2/2 (100%)")
        self.browser.click("History")
        self.look(at, *(f"{it['id']} COMPLETED" for it in shown["history"]))
        self.browser.evaluate(EXPAND)  # the newest, and in it the first vertex
        self.look(at, "Checkpoint Detail:", job.vertices()[0]["name"], "2/2 (100%)")
        self.browser.evaluate(EXPAND)
        self.look(at, "SubTasks:", "Start Delay", "Alignment Duration", "Minimum", "Unaligned Checkpoint 0 ")
        self.browser.click("Summary")
        self.look(at, "Minimum", "Average", "Maximum", "99.9% percentile")
        self.browser.click("Configuration", "nz-tabset [role=tab] *, [role=tab]")
        self.look(at, "Checkpointing Mode Exactly Once", "Interval 1h", config["checkpoint_storage"], config["state_backend"])

    def look_at_over(self, failed, finished):
        at = f"/job/completed/{failed.id}"
        self.look(f"{at}/overview", "Job State FAILED", *(vertex["name"] for vertex in failed.vertices()), "CANCELED")
        self.look(f"{at}/exceptions", "Root Exception", "is not to my taste")
        at = f"/job/completed/{finished.id}"
        vertex = finished.vertices()[1]
        self.look(f"{at}/overview", "Job State FINISHED", vertex["name"])
        self.look(f"{at}/overview/{vertex['id']}/subtasks", "Subtask Metrics", "FINISHED", "(unassigned)")
        self.look(f"{at}/timeline", "Vertex TimeLine")
        self.look(f"{at}/checkpoints", f"Completed: {finished.get('/checkpoints')['counts']['completed']}")
        self.look(f"{at}/configuration", f"argument 2 {FINISHED_COUNT}")

    def look_at_task_manager(self, job):
        (one,) = self.cluster.get("/v1/taskmanagers")["taskmanagers"]
        at = f"/task-manager/{one['id']}"
        self.look("/task-manager", "Path, ID", f"{one['id']} {one['path']}", " 4 2 ", "1.00 GB 1.00 GB 1.00 GB")
        self.look(f"{at}/metrics", "Flink Memory Model", "Managed Memory 1.00 GB 50% 512 MB / 1.00 GB", job.id)
        self.look(f"{at}/logs", f"'{one['id']}' offers 4 slots")
        self.look(f"{at}/stdout", "reached 1000")
        logs = self.cluster.get(f"/v1/taskmanagers/{one['id']}/logs")["logs"]
        self.look(f"{at}/log-list", *(log["name"] for log in logs))
        self.look(f"{at}/log-list/taskmanager.log", "offers 4 slots")
        self.look(f"{at}/thread-dump", "thread apply all bt")
        self.look(f"{at}/profiler", "rest.profiling.enabled")

    def look_at_job_manager(self):
        self.look("/job-manager/metrics", "Flink Memory Model", "Garbage Collection", "JVM Heap - 100%")
        self.look("/job-manager/config", "Configurations", *(f"{it['key']} {it['value']}"
                                                             for it in self.cluster.get("/v1/jobmanager/config")))
        self.look("/job-manager/logs", "leads, epoch 1", "has registered with 4 slots")
        self.look("/job-manager/stdout", "Stdout")
        self.look("/job-manager/log", "jobmanager.log")
        self.look("/job-manager/log/jobmanager.log", "leads, epoch 1")
        self.look("/job-manager/thread-dump", "The threads of the job manager")
        self.look("/job-manager/profiler", "rest.profiling.enabled")

    def test_its_buttons_cancel(self):
        for kind in self.KINDS:
            job = self.start_running(kind)
            self.look(f"/{kind}/running/{job.id}/overview", f"Cancel {kind.capitalize()}", job.get()["name"])
            self.browser.click(f"Cancel {kind.capitalize()}")
            self.browser.click("Yes")
            job.wait("CANCELED")
            self.look(f"/{kind}/completed/{job.id}/overview", f"{kind.capitalize()} State CANCELED")


class Flink1Test(_Dashboard, program.ProgramTest):
    VERSION = flink_client.VERSIONS[0]


class Flink2Test(_Dashboard, program.ProgramTest):
    """It has applications besides: each job is one."""

    VERSION = flink_client.VERSIONS[1]
    KINDS = ("job", "application")

    def look_at_lists(self, running, failed, finished):
        super().look_at_lists(running, failed, finished)
        for kind, job in (("running", running), ("completed", failed)):
            at = f"/application/{kind}"
            (failure,) = job.get("/exceptions")["exceptionHistory"]["entries"]
            self.look(at, f"{kind.capitalize()} Applications Application Name", job.get()["name"], job.state())
            self.look(f"{at}/{job.id}/overview", f"Application ID {job.id} Application State {job.state()} 1",
                      "Running Job List", "Completed Job List", job.get()["name"])
            self.look(f"{at}/{job.id}/exceptions", f"Related Job: {job.id}", failure["stacktrace"].split(":")[0])


class WeirTest(_Pages, program.ProgramTest):
    """The page that is in the program."""

    def test_it_shows_jobs_vertices_checkpoints_and_failures_and_cancels(self):
        failed, running = self.start_failed(), self.start_restarted()
        (one,) = self.cluster.get("/v1/taskmanagers")["taskmanagers"]
        self.browser.show(self.url)
        self.assert_well(self.browser.wait_for("jobs running", running.get()["name"], "RUNNING 4 / 4",
                                               failed.get()["name"], "FAILED", one["id"]))
        self.browser.click(running.get()["name"], "td")
        shown = running.get("/checkpoints")
        self.assert_well(self.browser.wait_for(
            running.id, *(f"{vertex['name']} RUNNING 2" for vertex in running.vertices()), "Checkpoints: 3 completed",
            *(f"{it['id']} " for it in shown["history"]), os.fspath(self.savepoint), "it was killed by SIGKILL"))
        self.browser.click("Cancel")
        running.wait("CANCELED")
        self.browser.wait_for("CANCELED")
        self.browser.go(f"#{failed.id}")
        self.assert_well(self.browser.wait_for(failed.id, "FAILED", "is not to my taste"))


if __name__ == "__main__":
    unittest.main()
