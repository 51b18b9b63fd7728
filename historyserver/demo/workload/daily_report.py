"""A job that fails: one of its tasks meets a row it cannot read."""

import logging
import time

import ray

log = logging.getLogger("daily_report")
ORDERS = [f"orders-{day:02}.csv" for day in range(1, 13)]
BROKEN = "orders-07.csv"


@ray.remote(num_cpus=0.5, max_retries=0, resources={"warehouse": 1})
def read_orders(file: str) -> float:
    print(f"reading {file}")
    time.sleep(0.3)
    if file == BROKEN:
        log.warning("row 4210: order=88121 shop=Lisbon price=19,90: read as 19.90")
        log.warning("row 4211: order=88122 shop=Lisbon price=")
        raise ValueError(f"{file}, row 4211: the price is missing (order 88122, shop Lisbon)")
    print(f"{file}: 5000 rows")
    return 5000 * 19.9


ray.init()
print(f"daily report: {len(ORDERS)} files")
readings = [read_orders.remote(file) for file in ORDERS]
ray.wait(readings, num_returns=len(readings))
revenue = sum(ray.get(readings))
print(f"revenue: {revenue:.2f}")
