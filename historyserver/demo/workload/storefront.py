"""A Ray Serve application and a job that never ends: both are cut off when the cluster is killed."""

import os
import time

import ray
from ray import serve


@serve.deployment(num_replicas=1, ray_actor_options={"num_cpus": 0.1})
class Greeter:
    def greet(self, visitor: str) -> str:
        print(f"greeting {visitor}")
        return f"Welcome, {visitor}!"


@ray.remote(num_cpus=0.1, scheduling_strategy="SPREAD")
def tick(number: int) -> int:
    print(f"tick {number} at {time.strftime('%H:%M:%S')}")
    return number


@ray.remote(num_cpus=0.1)
def take_stock() -> None:
    """Still running when the cluster dies."""
    shelf = 0
    while True:
        shelf += 1
        print(f"counting shelf {shelf} at {time.strftime('%H:%M:%S')}", flush=True)
        time.sleep(1)


ray.init()
serve.start(
    proxy_location="HeadOnly", http_options={"host": "127.0.0.2", "port": int(os.environ["STOREFRONT_PORT"])}
)
greeter = serve.run(Greeter.bind(), name="storefront", route_prefix="/")
stock = take_stock.remote()
print("the storefront is open")
for number in range(10_000):
    answer = greeter.greet.remote(f"visitor {number}").result()
    print(f"{answer} (tick {ray.get(tick.remote(number))})", flush=True)
    time.sleep(1)
