-- Cancels tasks as the plan says for the state that each is found in, and writes it to their history. Returned are
-- those that had not ended, with what is to be answered and who is to be rung.
-- rows: CancelAsked
with wanted as materialized (
    select c ->> @id as id, c ->> @reason as reason, nullif(c -> @only, 'null'::jsonb) as states
    from jsonb_array_elements(:cancels::jsonb) as c
),
plan as materialized (
    select
        (p ->> 0)::smallint as state, (p ->> 1)::boolean as owed, (p ->> 2)::smallint as goes_to,
        (p ->> 3)::smallint as verdict, p ->> 4 as answer, p ->> 5 as event
    from jsonb_array_elements(:plan::jsonb) as p
),
found as materialized (
    select
        task.key, task.id, task.state, task.verdict, task.owed is not null as owed, task.claim, task.attempt, task.seq,
        task.bell, wanted.reason
    from wanted join {schema}.task on task.id = wanted.id
    where task.id = any(array(select id from wanted))
        and (wanted.states is null or (task.verdict is null and wanted.states @> to_jsonb(task.state)))
    order by task.key for no key update of task
),
step as materialized (
    select found.*, plan.goes_to, plan.verdict as new_verdict, plan.answer, plan.event
    from found join plan on plan.state = found.state and plan.owed = found.owed
    where found.verdict is null
),
changed as (
    update {schema}.task set
        state = goes_to,
        verdict = new_verdict,
        cause = 'cancel',
        reason = step.reason,
        ended_at = case when goes_to > 3 then {schema}.clock() end,
        seq = task.seq + 1
    from step where task.key = any(array(select key from step)) and task.key = step.key
),
history as (
    insert into {schema}.event (task, first, claim, attempt, body)
    select
        key, seq + 1, claim, attempt,
        json_build_array(json_build_array(event, {schema}.clock(), json_build_object('reason', reason)))::text
    from step
)
select found.id, coalesce(step.answer, 'asked'), step.bell from found left join step using (key)
