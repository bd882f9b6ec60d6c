"""The known-bad stores: for every clause those that break it, and the tests that have to find that.

Each is wrong in one way in which stores are wrong. More tests of the clause may fail than are named here.
"""

import re

import attrs

from tests.conformance import bends, stores, tasks
from tests.conformance.bent import BentStore, Make, bent, of
from tests.conformance.tasks import of_tasks


@attrs.frozen
class Bad:
    """A store that breaks a clause.

    Attributes:
        clause: the clause.
        name: what is wrong.
        make: makes its adapter.
        tests: those that must fail, without ``test_<clause>_``.
        is_asynchronous: whether it is a store for asyncio.
    """

    clause: str
    name: str
    make: Make
    tests: tuple[str, ...]
    is_asynchronous: bool = False

    @property
    def suite(self) -> str:
        """The name of its class of tests."""
        return f"Test{self.clause}{re.sub('[^a-z]', '', self.name.title(), flags=re.IGNORECASE)}"


BAD = [
    Bad(
        "A1",
        "each mutation commits on its own",
        of(stores.Piecemeal),
        ("a_mutation_that_fails_leaves_no_trace_of_those_before_it",),
    ),
    Bad(
        "A1",
        "a fault between two mutations leaves a half plan",
        stores.striking(stores.Piecemeal),
        ("a_fault_anywhere_in_an_apply_leaves_no_trace",),
    ),
    Bad(
        "A1",
        "deletes come after puts",
        bent(plan=bends.puts_before_deletes),
        ("mutations_are_performed_in_the_order_given", "an_instance_may_be_deleted_and_made_again_in_one_plan"),
    ),
    Bad(
        "A1",
        "a plan is about one instance",
        bent(plan=bends.only_rows_of_its_ref),
        ("one_plan_may_touch_several_instances",),
    ),
    Bad("A1", "steps are left out", bent(plan=bends.dropped_steps), ("a_plan_is_applied_whole",)),
    Bad(
        "A1",
        "connections of mutations that fail are not given back",
        of(stores.KeepsConnectionsOfMistakes),
        ("a_store_is_as_good_as_before_after_mutations_that_failed",),
    ),
    Bad(
        "A2",
        "connections of conflicts are not given back",
        of(stores.KeepsConnectionsOfConflicts),
        ("a_store_is_as_good_as_before_after_many_conflicts",),
    ),
    Bad(
        "A2",
        "only the first precondition is looked at",
        bent(plan=bends.only_first_precondition),
        (
            "a_conflict_says_what_was_found_and_leaves_no_trace",
            "a_precondition_may_be_about_another_instance_than_the_plan",
        ),
    ),
    Bad(
        "A2",
        "preconditions are all of the plan's ref",
        bent(plan=bends.preconditions_of_its_ref),
        ("a_plan_whose_preconditions_hold_is_applied",),
    ),
    Bad(
        "A2",
        "preconditions are looked at last",
        of(bends.ChecksLast),
        ("preconditions_are_about_what_was_there_before_the_plan",),
    ),
    Bad(
        "A2",
        "nobody has to exist",
        bent(plan=bends.without_exists),
        ("a_conflict_says_what_was_found_and_leaves_no_trace",),
    ),
    Bad(
        "A2",
        "a conflict does not say what was found",
        bent(answer=bends.no_facts),
        ("a_conflict_says_what_was_found_and_leaves_no_trace",),
    ),
    Bad(
        "A2",
        "a conflict is always of the plan's ref",
        bent(answer=bends.about_the_plans_ref),
        (
            "a_conflict_says_what_was_found_and_leaves_no_trace",
            "a_precondition_may_be_about_another_instance_than_the_plan",
        ),
    ),
    Bad(
        "A3",
        "it reads, decides and writes later",
        of(stores.ChecksFirst),
        ("one_thread_wins_each_version", "one_thread_creates_an_instance"),
    ),
    Bad("A3", "any version will do", bent(plan=bends.any_version), ("the_second_plan_for_a_version_conflicts",)),
    Bad(
        "A3",
        "a version says nothing of the incarnation",
        of(bends.NoIncarnation),
        ("a_plan_for_a_deleted_and_recreated_instance_conflicts",),
    ),
    Bad(
        "A3",
        "a delete locks too late",
        of(stores.LocksWhatItDeletesTooLate),
        ("a_tick_or_a_delete_wins_a_version",),
    ),
    Bad("A3", "a clash of identities is swallowed", of(stores.SwallowsClashes), ("one_thread_creates_an_instance",)),
    Bad(
        "A3",
        "versions are compared in another transaction, in SQLite",
        stores.loose_sqlite,
        ("one_process_wins_each_version", "one_thread_wins_each_version"),
    ),
    Bad(
        "A4",
        "what is applied is kept in the process",
        stores.not_durable,
        (
            "a_store_that_is_opened_again_finds_what_was_applied",
            "a_store_that_is_closed_and_opened_again_finds_what_was_applied",
            "two_stores_on_the_same_data_see_each_others_plans",
        ),
    ),
    Bad(
        "A5",
        "the execution id is that of the creation",
        bent(plan=bends.kept_instance),
        ("a_plan_that_is_applied_again_conflicts_with_itself",),
    ),
    Bad(
        "A5",
        "the execution id is the store's own",
        stores.striking(stores.Forgetful),
        ("after_an_unknown_commit_a_retrieve_tells_what_happened",),
    ),
    Bad(
        "A6",
        "an append that comes again replaces, and is not consumed any more",
        of(bends.Upserts),
        ("an_event_that_was_consumed_is_not_offered_again", "an_add_leaves_the_row_that_is_there"),
    ),
    Bad(
        "A6",
        "an event that is put goes to the end",
        of(bends.PutsLast),
        ("an_event_keeps_its_place_when_it_is_put_again",),
    ),
    Bad("A6", "a step is put once", of(bends.PutsOnce), ("a_put_replaces_the_row_of_that_identity",)),
    Bad("A6", "a step is of any run", of(bends.DeletesStepsOfTheCurrentRun), ("a_step_belongs_to_its_run",)),
    Bad("A6", "an event's id is of all instances", of(bends.TakesAnEventIdOnce), ("ids_are_of_their_instance",)),
    Bad("A6", "a delete is lost", bent(plan=bends.lost_purges), ("a_delete_takes_all_rows_of_every_run",)),
    Bad(
        "A6",
        "a delete leaves the runs before",
        of(bends.DeletesTheCurrentRun),
        ("a_delete_takes_all_rows_of_every_run",),
    ),
    Bad("A6", "a delete leaves notices", of(bends.LeavesNotices), ("a_delete_takes_all_rows_of_every_run",)),
    Bad(
        "A6", "a delete leaves consumed events", of(bends.LeavesConsumedEvents), ("a_delete_takes_consumed_events_too",)
    ),
    Bad(
        "A6",
        "identities are compared by a collation",
        of(bends.FoldsCase),
        ("identities_are_told_apart_to_the_letter",),
    ),
    Bad(
        "A6",
        "keys of steps are folded to lower case",
        bent(plan=bends.folded_keys),
        ("identities_within_an_instance_are_told_apart_to_the_letter",),
    ),
    Bad(
        "A6",
        "events are in the order of their instants",
        bent(snapshot=bends.by_instant),
        ("events_arrive_in_the_order_of_their_applies",),
    ),
    Bad(
        "A7",
        "instants are cut to milliseconds",
        bent(snapshot=bends.milliseconds),
        ("instants_come_back_to_the_microsecond",),
    ),
    Bad("A7", "payloads are trimmed", bent(snapshot=bends.stripped), ("payloads_come_back_byte_for_byte",)),
    Bad(
        "A7",
        "an empty text is nothing",
        bent(snapshot=bends.nothing_for_empty),
        ("a_field_that_is_nothing_is_not_an_empty_text", "payloads_come_back_byte_for_byte"),
    ),
    Bad("A7", "tracebacks are not stored", bent(snapshot=bends.without_traceback), ("every_field_comes_back",)),
    Bad("A7", "a put leaves some columns as they were", of(bends.KeepsSomeColumns), ("a_put_changes_every_field",)),
    Bad("A7", "an add forgets a column", bent(plan=bends.without_actor), ("an_add_stores_every_field",)),
    Bad("A8", "an empty plan writes", bent(plan=bends.bumped), ("an_empty_plan_writes_nothing",)),
    Bad("A8", "an empty plan is not looked at", of(bends.AnswersEmptyPlans), ("an_empty_plan_may_conflict",)),
    Bad(
        "A9",
        "a retrieve is two transactions",
        of(stores.ReadsTwice),
        ("a_retrieve_under_a_concurrent_writer_is_one_cut", "a_retrieve_while_instances_come_and_go_is_one_cut"),
    ),
    Bad("A9", "a retrieve asks a replica that lags", of(stores.Lags), ("what_was_applied_is_read",)),
    Bad(
        "A9",
        "what is long is cut off",
        of(bends.TruncatesHistories),
        ("a_history_of_10_000_steps_comes_back_whole", "a_mailbox_of_1_000_events_comes_back_whole_and_in_order"),
    ),
    Bad(
        "A9",
        "steps of all runs are given",
        of(bends.GivesAllRuns),
        ("a_retrieve_gives_the_current_run_pending_events_and_all_hooks",),
    ),
    Bad(
        "A9",
        "consumed events are given",
        of(bends.GivesConsumedEvents),
        ("a_retrieve_gives_the_current_run_pending_events_and_all_hooks",),
    ),
    Bad(
        "A9",
        "the clock is another",
        bent(snapshot=bends.unlike_the_clock),
        ("a_retrieve_of_what_does_not_exist_is_empty",),
    ),
    Bad(
        "A10",
        "an append raises the version",
        of(bends.LocksAppends),
        ("an_append_neither_conflicts_with_a_tick_nor_makes_it_conflict", "appends_and_ticks_of_threads_all_succeed"),
    ),
    Bad("A10", "the mailbox is read and put back", of(stores.LosesMail), ("appends_and_ticks_of_threads_all_succeed",)),
    Bad(
        "A10",
        "whether there is an instance is looked up before",
        of(stores.ChecksFirstIfVersioned),
        ("an_event_that_races_a_purge_belongs_to_the_instance_or_is_undelivered",),
    ),
    Bad(
        "A11",
        "writes are not part of the transaction",
        of(stores.WritesElsewhere),
        ("a_write_commits_with_its_plan_and_not_with_a_conflict", "a_failing_write_is_named_and_leaves_no_trace"),
    ),
    Bad(
        "A11",
        "writes that fail are left out",
        of(stores.LeavesOutWhatFails),
        ("a_failing_write_is_named_and_leaves_no_trace", "a_write_without_a_writer_is_named_and_leaves_no_trace"),
    ),
    Bad(
        "A11",
        "writes are committed before the rows",
        stores.striking(stores.WritesBefore),
        ("a_fault_anywhere_leaves_the_writes_of_a_plan_with_its_rows_or_neither",),
    ),
    Bad(
        "A11",
        "a failure of the database is put down to a writer",
        stores.striking(stores.BlamesWriters),
        ("a_fault_anywhere_leaves_the_writes_of_a_plan_with_its_rows_or_neither",),
    ),
    *(
        Bad("A11", name, of(store), ("a_write_that_fails_at_commit_is_named_and_leaves_no_trace",))
        for name, store in [
            ("what the commit raises gets out", stores.LetsCommitsFail),
            ("what the commit raises is ignored", stores.TakesNoNoticeOfCommits),
            ("the first write is blamed for the commit", stores.BlamesTheFirstWrite),
        ]
    ),
    Bad(
        "A11",
        "connections of writers that fail are not given back",
        of(stores.KeepsConnectionsOfWriters),
        ("a_store_is_as_good_as_before_after_failing_writes",),
    ),
    Bad(
        "A11",
        "there are no writes without rows",
        bent(plan=bends.writes_with_rows_only),
        ("a_write_of_a_plan_that_writes_no_row_is_committed_too",),
    ),
    Bad("A11", "writes have no order", bent(plan=bends.writes_reversed), ("writes_keep_their_order_among_themselves",)),
    Bad(
        "A12",
        "a failure is taken for a conflict",
        stores.striking(stores.TakesFailuresForConflicts),
        ("a_transient_failure_is_no_conflict",),
    ),
    Bad(
        "A12",
        "an error of the driver gets out",
        stores.striking(stores.RaisesWhatTheDriverRaises),
        ("a_transient_failure_is_no_conflict", "a_store_is_as_good_as_before_after_a_failure"),
    ),
    Bad(
        "A12",
        "an unknown commit is tried again blindly",
        stores.striking(stores.RetriesBlindly),
        ("a_transient_failure_is_no_conflict",),
    ),
    Bad(
        "A12",
        "after a failure nothing works any more",
        stores.striking(stores.BreaksForEver),
        ("a_store_is_as_good_as_before_after_a_failure",),
    ),
    *(
        Bad("A12", name, stores.striking(store), ("a_store_is_as_good_as_before_after_many_failures",))
        for name, store in [
            ("connections are not given back after a failure", stores.Pooled),
            ("connections are not given back by a retrieve that fails", stores.KeepsConnectionsOfReaders),
            ("connections are not given back by a feed that fails", stores.KeepsConnectionsOfFeeds),
        ]
    ),
    Bad(
        "A12",
        "a rollback that fails leaves the transaction open",
        stores.striking(stores.RollsBackInVain),
        ("a_store_is_as_good_as_before_when_a_database_that_was_away_is_back",),
    ),
    Bad(
        "A12",
        "a feed that fails has nothing due",
        stores.striking(stores.HasNothingDue),
        ("a_failure_while_hooks_or_lists_are_read_is_told",),
    ),
    Bad(
        "A12",
        "a failure in a read gives half of it",
        stores.striking(stores.GivesHalfASnapshot),
        ("a_failure_while_reading_is_told_and_gives_no_half_snapshot",),
    ),
    Bad(
        "A13",
        "the hooks of all instances are told",
        bent(answer=bends.all_hooks),
        ("the_answer_names_the_hooks_that_are_now_pending", "the_answer_is_about_the_ref_of_the_plan"),
    ),
    Bad(
        "A13",
        "nothing is undelivered",
        bent(answer=bends.nothing_undelivered),
        ("the_answer_names_appends_whose_instance_does_not_exist",),
    ),
    Bad(
        "A13",
        "a repeated append is undelivered",
        of(bends.CountsRepeatsAsUndelivered),
        ("a_repeated_append_is_no_undelivered_one",),
    ),
    Bad(
        "A13",
        "what the plan starts is not there yet",
        of(bends.LooksUpInstancesBefore),
        ("an_append_to_an_instance_that_the_plan_starts_is_delivered",),
    ),
    Bad(
        "B1",
        "what is bound is never committed",
        of(BentStore, within=stores.transactions(BentStore, lambda _bound: False)),
        ("what_a_bound_store_applies_commits_with_the_caller",),
    ),
    Bad(
        "B1",
        "a bound store has no savepoint",
        of(BentStore, within=stores.transactions(stores.KeepsRowsOfFailingWrites)),
        ("a_failing_write_leaves_the_transaction_as_it_was",),
    ),
    Bad(
        "B1",
        "a bound store has transactions of its own",
        of(BentStore, within=stores.unbound),
        (
            "what_a_bound_store_applies_is_rolled_back_with_the_caller",
            "a_bound_store_reads_what_it_wrote_and_others_do_not",
        ),
    ),
    Bad(
        "B1",
        "a bound store tells of no hooks",
        of(BentStore, within=stores.transactions(stores.TellsOfNoHooks)),
        ("a_bound_store_answers_and_reads_as_any_store",),
    ),
    Bad(
        "B1",
        "a conflict spoils the transaction",
        of(BentStore, within=stores.transactions(stores.CountsConflicts, lambda bound: not bound.conflicts)),
        ("a_conflict_leaves_the_transaction_usable",),
    ),
    Bad(
        "B2",
        "after a conflict the rest is left",
        of(stores.StopsAtAConflict),
        (
            "each_plan_has_its_answer_in_their_order",
            "a_plan_sees_those_before_it",
            "a_conflict_leaves_no_trace_and_keeps_the_others",
        ),
    ),
    Bad("B2", "there must be a plan", of(stores.NeedsAPlan), ("no_plan_is_no_answer",)),
    Bad(
        "B2",
        "many plans are one transaction",
        of(stores.MakesOnePlanOfMany),
        ("a_plan_sees_those_before_it", "a_conflict_leaves_no_trace_and_keeps_the_others"),
    ),
    Bad(
        "B2",
        "a failing write undoes the plans before",
        of(stores.UndoesWhatCameBefore),
        (
            "a_failing_write_keeps_the_plans_before_its_own_and_no_other",
            "a_write_that_fails_at_commit_keeps_the_plans_before_its_own_and_no_other",
        ),
    ),
    Bad(
        "B2",
        "plans after a failing write are applied",
        of(stores.GoesOnAfterAFailure),
        ("a_failing_write_keeps_the_plans_before_its_own_and_no_other",),
    ),
    Bad(
        "B2",
        "of many plans each mutation commits on its own",
        stores.striking(stores.PiecemealBatches),
        ("a_fault_anywhere_leaves_whole_plans_and_none_after_one_that_is_missing",),
    ),
    Bad(
        "B2",
        "plans that are missing are acknowledged",
        stores.striking(stores.AcknowledgesWhatIsMissing),
        ("a_fault_anywhere_leaves_whole_plans_and_none_after_one_that_is_missing",),
    ),
    Bad(
        "B2",
        "the last plan is applied first",
        stores.striking(stores.AppliesTheLastFirst),
        (
            "a_plan_sees_those_before_it",
            "a_fault_anywhere_leaves_whole_plans_and_none_after_one_that_is_missing",
        ),
    ),
    Bad(
        "B2",
        "many plans are written out later",
        stores.striking(stores.WritesBehind, durable=True),
        ("what_was_applied_is_found_by_a_store_that_is_opened_again",),
    ),
    Bad(
        "B2",
        "of many plans nobody is told",
        of(stores.TellsNobodyOfMany),
        ("listeners_are_told_of_every_plan_that_was_applied",),
    ),
    Bad(
        "B3",
        "other instances are not told of",
        of(stores.TellsOfThePlansRefOnly),
        ("a_listener_is_told_of_every_instance_that_a_plan_touches",),
    ),
    Bad("B3", "a listener that stopped is told", of(stores.TellsForEver), ("a_listener_that_has_stopped_is_not_told",)),
    Bad(
        "B3",
        "listeners are told before the commit",
        of(stores.TellsTooEarly),
        ("a_listener_that_is_told_finds_the_plan_applied",),
    ),
    Bad("B3", "a listener fails an apply", of(stores.TellsWithoutCare), ("what_a_listener_raises_fails_no_apply",)),
    Bad(
        "B3",
        "listeners are told before the commit, on the event loop",
        stores.early_for_asyncio,
        ("a_listener_that_is_told_finds_the_plan_applied",),
        is_asynchronous=True,
    ),
    Bad(
        "B4",
        "a call that is cancelled keeps its lock",
        of_tasks(tasks.KeepsTheLock),
        ("a_store_is_as_good_as_before_after_a_call_that_was_cancelled",),
        is_asynchronous=True,
    ),
    *(
        Bad("B4", name, of_tasks(store), ("a_store_is_as_good_as_before_after_many_calls_that_were_cancelled",), True)
        for name, store in [
            ("connections of retrieves that are cancelled are not given back", tasks.LosesReaders),
            ("connections of applies that are cancelled are not given back", tasks.LosesWriters),
        ]
    ),
    Bad(
        "B4",
        "an apply that is cancelled goes on by itself",
        of_tasks(tasks.GoesOnWhenCancelled),
        ("an_apply_that_is_cancelled_is_done_whole_or_not_at_all",),
        is_asynchronous=True,
    ),
    Bad(
        "B4",
        "a task that is cancelled is answered",
        of_tasks(tasks.AnswersWhenCancelled),
        ("an_apply_that_is_cancelled_is_done_whole_or_not_at_all",),
        is_asynchronous=True,
    ),
    Bad(
        "B4",
        "an apply that is cancelled stops halfway",
        of_tasks(tasks.StopsHalfway),
        ("an_apply_that_is_cancelled_is_done_whole_or_not_at_all",),
        is_asynchronous=True,
    ),
    Bad(
        "B4",
        "the loop waits for another transaction",
        of_tasks(tasks.KeepsTheLoopWaiting),
        ("an_apply_that_waits_for_another_transaction_does_not_keep_the_loop_waiting",),
        is_asynchronous=True,
    ),
    Bad(
        "B4",
        "tasks share a savepoint",
        of_tasks(tasks.TaskStore),
        ("several_tasks_may_use_a_bound_store",),
        is_asynchronous=True,
    ),
    Bad("C1", "any of the labels will do", of(stores.AnyLabel), ("a_list_holds_what_passes_every_filter",)),
    Bad("C1", "labels are folded", of(stores.FoldsLabels), ("tags_are_told_apart_whatever_is_in_them",)),
    Bad("C1", "a list leaves out params", of(stores.ForgetsParams), ("a_list_holds_whole_rows",)),
    Bad(
        "C1",
        "the oldest comes first",
        of(stores.ListsTheOldestFirst),
        ("the_newest_comes_first_and_of_those_the_last_by_ref",),
    ),
    Bad("C1", "labels stay for ever", of(stores.KeepsLabels), ("a_list_follows_what_is_put_and_deleted",)),
    Bad(
        "C1",
        "ranges include their end",
        of(stores.IncludesTheEnd),
        ("a_list_holds_what_passes_every_filter", "instants_are_compared_to_the_microsecond"),
    ),
    Bad(
        "C2",
        "pages go by number",
        of(stores.CountsPlaces),
        ("no_row_is_skipped_or_doubled_when_others_come_and_go_at_the_same_instant",),
    ),
    Bad("C2", "after nothing comes another page", of(stores.GoesOnAfterNothing), ("a_page_of_nothing_is_the_last",)),
    Bad(
        "C2",
        "the rest of an instant is skipped",
        of(stores.SkipsTheRestOfAnInstant),
        (
            "no_row_is_skipped_or_doubled_when_others_come_and_go_at_the_same_instant",
            "pages_are_of_the_size_that_was_asked_for",
        ),
    ),
    Bad("C3", "the page is counted", of(stores.CountsThePage), ("limit_and_cursor_do_not_count",)),
    Bad("C3", "a status that nobody has is left out", of(stores.CountsWhatThereIs), ("counts_have_every_status",)),
    Bad("C4", "a history is of the current run", of(stores.TellsOfTheCurrentRunOnly), ("a_history_is_of_one_run",)),
    Bad(
        "C4", "what is deleted has a history", of(stores.TellsOfWhatIsDeleted), ("nothing_is_left_of_what_is_deleted",)
    ),
    Bad(
        "C4",
        "runs that never were have a history",
        of(stores.TellsOfRunsThatNeverWere),
        ("a_run_that_never_was_is_refused",),
    ),
    Bad(
        "C4",
        "a history is in the order of keys",
        of(stores.TellsInTheOrderOfKeys),
        ("a_history_is_in_the_order_of_settlement_and_then_what_waits",),
    ),
    Bad(
        "C4",
        "when an event was taken is forgotten",
        of(stores.ForgetsWhenEventsWereTaken),
        ("a_history_holds_whole_rows",),
    ),
    Bad("C5", "the timer of any run will do", of(stores.TakesAnyTimer), ("a_timer_of_another_run_is_none",)),
    Bad("C5", "nobody is suspect", of(stores.SuspectsNobody), ("what_breaks_o5_is_among_the_suspects",)),
    Bad(
        "C5", "suspects are in any order", of(stores.SuspectsInAnyOrder), ("suspects_come_in_the_order_of_their_refs",)
    ),
    Bad(
        "E1",
        "an added hook replaces another",
        of(bends.AddsHooksOver),
        ("after_any_plan_all_rows_and_answers_are_those_of_evolve",),
    ),
    Bad(
        "E1",
        "an append that comes again replaces",
        of(bends.Upserts),
        ("after_any_plan_all_rows_and_answers_are_those_of_evolve",),
    ),
    Bad("F1", "hooks fire a second early", of(bends.LooksAhead), ("a_hook_is_due_at_its_instant_and_not_before",)),
    Bad(
        "F1",
        "a hook is due after its instant",
        bent(fired=bends.strictly_before),
        ("a_hook_is_due_at_its_instant_and_not_before",),
    ),
    Bad("F1", "instants are compared as texts", of(bends.ComparesTexts), ("instants_are_compared_to_the_microsecond",)),
    Bad(
        "F2",
        "of several at an instant one is given",
        bent(fired=bends.one_per_instant),
        ("due_hooks_come_in_the_order_of_instant_and_id",),
    ),
    Bad("F2", "due hooks come by id", bent(fired=bends.by_id), ("due_hooks_come_in_the_order_of_instant_and_id",)),
    Bad(
        "F2", "every hook of an instance is given", of(bends.GivesEveryHook), ("an_instance_gives_its_first_hook_only",)
    ),
    Bad(
        "F3",
        "the hooks of one instance fill the limit",
        of(bends.LimitsBeforeItGroups),
        ("the_limit_counts_instances",),
    ),
    Bad(
        "F3",
        "a thousand hooks are looked at",
        of(bends.LooksAtSomeOnly),
        ("few_due_hooks_are_found_among_many",),
    ),
    Bad(
        "F3",
        "instances that are left out fill the limit",
        of(bends.LimitsBeforeItExcludes),
        ("a_query_may_name_workflows_and_leave_out_instances",),
    ),
    Bad(
        "F3",
        "no workflows are all workflows",
        bent(query=bends.ignores_names),
        ("a_query_may_name_workflows_and_leave_out_instances",),
    ),
    Bad(
        "F4",
        "what is due is not next",
        bent(earliest=bends.future_only),
        ("next_due_at_is_the_earliest_that_the_query_admits",),
    ),
    Bad(
        "F4",
        "the next is that of all",
        bent(earliest=bends.of_all),
        ("next_due_at_is_the_earliest_that_the_query_admits",),
    ),
    Bad(
        "F5",
        "notices are known by their reason",
        of(bends.KnowsNoticesByReason),
        ("a_notice_is_known_by_its_id_and_not_by_its_reason",),
    ),
    Bad(
        "F5",
        "notices are given to all",
        of(bends.GivesNoticesToAll),
        ("a_feed_leaves_notices_out_unless_they_are_wanted",),
    ),
    Bad(
        "F5",
        "a notice stands before other hooks",
        of(bends.NoticesStandBefore),
        ("a_notice_that_is_not_wanted_stands_before_no_other_hook",),
    ),
    Bad(
        "F6", "deleted hooks stay in the queue", of(bends.RemembersHooks), ("the_feed_follows_what_is_put_and_deleted",)
    ),
    Bad("F6", "a hook is not deleted", bent(plan=bends.lost_deletes), ("the_feed_follows_what_is_put_and_deleted",)),
    Bad(
        "F7",
        "every shard is given everything",
        bent(query=bends.ignores_shards),
        ("a_shard_takes_the_hooks_of_its_own_instances", "every_hook_is_some_shards_and_no_two_have_one"),
    ),
    Bad(
        "F7",
        "a shard is the hash of other bytes",
        of(bends.HashesOtherBytes),
        ("every_hook_is_some_shards_and_no_two_have_one",),
    ),
    Bad(
        "F7",
        "nothing is stolen",
        bent(fired=bends.never_stolen),
        ("a_hook_of_another_shard_is_taken_once_it_is_overdue",),
    ),
    Bad(
        "F7",
        "hooks of others fill the limit",
        of(bends.LooksForOthersFirst),
        ("hooks_of_others_that_are_due_stand_before_no_own_one",),
    ),
    Bad(
        "F7",
        "it wakes only if there are others",
        of(bends.WakesWithOthersOnly),
        ("next_due_at_of_the_only_shard_is_that_of_all",),
    ),
    Bad(
        "F7",
        "it does not wake to steal",
        of(bends.SleepsOverOthers),
        ("next_due_at_is_the_earlier_of_its_own_and_of_others_when_they_are_overdue",),
    ),
]
