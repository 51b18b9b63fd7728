"""A job that succeeds although tasks are retried and crash, and actors die, restart or never start."""

import os
import time

import ray
from ray.exceptions import RayError
from ray.util.placement_group import placement_group


@ray.remote(num_cpus=0.25, scheduling_strategy="SPREAD")
def price(basket: int) -> float:
    """Succeeds."""
    time.sleep(0.05)
    return basket * 1.19


@ray.remote(num_cpus=0.25, max_retries=3, retry_exceptions=True)
def download_rates(attempts: str) -> str:
    """Fails twice, then succeeds; a file counts the attempts, since each has a process of its own."""
    with open(attempts, "a") as file:  # noqa: PTH123 - the smallest thing that works
        file.write("x")
    attempt = os.path.getsize(attempts)  # noqa: PTH202 - the same
    print(f"download of the exchange rates, attempt {attempt}")
    if attempt < 3:
        raise ConnectionError(f"rates.example: connection reset (attempt {attempt})")
    return "EUR 1.00, USD 1.08"


@ray.remote(num_cpus=0.25, max_retries=1)
def compress_images() -> None:
    """Takes its process down, twice."""
    print("compressing 240 images with the native codec", flush=True)
    time.sleep(1.5)
    print("codec: assertion failed: width > 0", flush=True)
    os._exit(134)


@ray.remote(num_cpus=0.1)
class Cart:
    """Lives on until the cluster is killed, unless its job ends first."""

    def __init__(self, customer: str) -> None:
        self.customer = customer
        self.items: list[str] = []

    def add(self, item: str) -> int:
        self.items.append(item)
        print(f"{self.customer} takes {item}: {len(self.items)} items")
        return len(self.items)


@ray.remote(num_cpus=0.1, max_restarts=2, max_task_retries=0)
class Cashier:
    """Dies in the middle of its work and is restarted."""

    def checkout(self, basket: int) -> float:
        if basket == 3:
            print("cashier: out of memory while reading the basket", flush=True)
            time.sleep(1.2)
            os._exit(137)
        print(f"cashier: basket {basket} is paid")
        return basket * 1.19


@ray.remote(num_cpus=0.1)
class Scanner:
    """Never gets to live."""

    def __init__(self, device: str) -> None:
        raise FileNotFoundError(f"scanner {device} is not plugged in")

    def scan(self) -> str:
        return "never"


def expected(what: str, reference: "ray.ObjectRef") -> None:
    """Waits for a call that is meant to fail."""
    try:
        ray.get(reference)
    except (RayError, ConnectionError) as error:
        print(f"{what}: {type(error).__name__}, as expected")
    else:
        raise AssertionError(f"{what} should have failed")


ray.init()
crash = compress_images.remote()
rates = download_rates.remote(os.environ["ATTEMPTS"])
group = placement_group([{"CPU": 0.1}, {"CPU": 0.1}], strategy="SPREAD", name="tills")
ray.get(group.ready())
print("prices:", round(sum(ray.get([price.remote(basket) for basket in range(40)])), 2))
carts = [Cart.options(name=f"cart of {who}").remote(who) for who in ("Ada", "Grace")]
print("items:", ray.get([cart.add.remote(item) for cart in carts for item in ("bread", "milk", "apples")]))
cashier = Cashier.options(name="till 1").remote()
ray.get([cashier.checkout.remote(basket) for basket in (1, 2)])
expected("basket 3", cashier.checkout.remote(3))
for _ in range(50):
    try:
        ray.get(cashier.checkout.remote(4))
        break
    except RayError:
        time.sleep(0.2)
expected("scanner", Scanner.options(name="scanner").remote("/dev/scan0").scan.remote())
print("rates:", ray.get(rates))
expected("images", crash)
ray.kill(carts[1])
time.sleep(1)
print("the shop closes")
