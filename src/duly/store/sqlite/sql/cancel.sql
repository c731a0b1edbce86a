-- Cancels tasks as the plan says for the state that each is found in.
-- rows: CancelAsked
update task set
    state = plan.value ->> 2,
    verdict = plan.value ->> 3,
    cause = 'cancel',
    reason = c.value ->> @reason,
    ended_at = iif(plan.value ->> 2 > 3, :now, null),
    seq = seq + 1
from jsonb_each(:cancels) as c, jsonb_each(:plan) as plan
where task.id = c.value ->> @id
    and task.verdict is null
    and task.state = plan.value ->> 0
    and (task.owed is not null) = (plan.value ->> 1)
    and (c.value ->> @only is null or task.state in (select value from json_each(c.value -> @only)))
