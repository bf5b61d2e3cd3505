"""A browser without a screen: Chromium, driven through its driver, for pages that the cluster serves.

    with Browser() as browser:
        browser.open(url)
        browser.wait_for("return document.title.startsWith('Healthy')", 5, "the page says so")

What a page writes into the browser's log is a failure: `complaints` has it. Nothing goes out: no service of the
browser's own is on, and its profile goes with it.
"""

import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from processes import wait_until

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic",
         "--no-first-run", "--no-default-browser-check", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--disable-extensions", "--hide-scrollbars", "--mute-audio", "--no-proxy-server",
         "--lang=en-US")  # fmt: skip
WIDE, NARROW = (1280, 900), (360, 740)

# axe-core (MPL-2.0) is no part of this tree: a package of the Python index has it, and is fetched where the tests run.
AXE = "axe-playwright-python==0.1.8"
AXE_FILE = "axe_playwright_python/axe.min.js"


def missing_browser():
    """What has to be there before a page can be opened."""
    return [name for name in ("chromium", "chromedriver") if not shutil.which(name)]


class Browser:
    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="shoal-browser.")
        options = Options()
        for flag in (*FLAGS, f"--user-data-dir={self.profile}"):
            options.add_argument(flag)
        options.binary_location = shutil.which("chromium")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
        self.driver.set_script_timeout(60)
        self.driver.set_page_load_timeout(30)
        self.look_like()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.driver.quit()
        shutil.rmtree(self.profile, ignore_errors=True)

    def devtools(self, command, **args):
        return self.driver.execute_cdp_cmd(command, args)

    def look_like(self, size=WIDE, scheme="light"):
        """Of what size its window is, and which colours whoever sits before it prefers; they like nothing to move."""
        width, height = size
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        preferred = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": name, "value": value} for name, value in preferred.items()])

    def open(self, url):
        self.driver.get(url)

    def run(self, script, *args):
        return self.driver.execute_script(script, *args)

    def wait(self, script, *args):
        """A script that calls its last argument with what it gives."""
        return self.driver.execute_async_script(script, *args)

    def wait_for(self, script, timeout, what, *args):
        return wait_until(lambda: self.run(script, *args), timeout, what)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector):
        """What is seen there; "" where nothing is."""
        return self.run("const e = document.querySelector(arguments[0]); return e?.checkVisibility() ? e.innerText : ''", selector)

    def click(self, selector):
        self.run("document.querySelector(arguments[0]).scrollIntoView({block: 'center', behavior: 'instant'})", selector)
        self.find(selector).click()

    def point_at(self, selector):
        """The pointer goes there, straight."""
        ActionChains(self.driver).move_to_element(self.find(selector)).perform()

    def type(self, selector, text):
        field = self.find(selector)
        field.clear()
        field.send_keys(text)

    def press(self, key):
        """A key, where the focus is."""
        self.driver.switch_to.active_element.send_keys(getattr(Keys, key))

    def complaints(self, but=()):
        """What pages wrote into the log since it was asked for, but for what has one of these words."""
        told = [f"{entry['level']}: {entry['message']}" for entry in self.driver.get_log("browser")]
        return [text for text in told if not any(word in text for word in but)]

    def picture(self, path):
        Path(path).write_bytes(self.driver.get_screenshot_as_png())

    def axe(self, source):
        """What axe-core finds that is serious or critical, as texts."""
        self.run(source)
        found = self.wait("const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then(done)")
        return [
            f"{each['id']} ({each['impact']}): {each['help']}: {[node['html'][:160] for node in each['nodes'][:3]]}"
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
        ]


def axe_source(directory):
    """axe-core as a script, fetched once a machine: pip keeps what it has downloaded."""
    done = subprocess.run(
        ["/usr/bin/python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest", directory, AXE],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"axe-core cannot be fetched ({AXE}, by pip from the Python index):\n{done.stderr}"
    (package,) = Path(directory).iterdir()
    with zipfile.ZipFile(package) as archive:
        return archive.read(AXE_FILE).decode()
