"""Run the fake as a process."""

from fake_oss.process import main

main()
