import sys, time
from tests.explore.canonical import CASES

for case in CASES:
    if len(sys.argv) > 2 and case.name not in sys.argv[2:]:
        continue
    t = time.process_time()
    e = case.explored(dispatchers=int(sys.argv[1]), max_states=3_000_000)
    print(case.name, round(time.process_time() - t, 1), e, flush=True)
