-- Whether any of these differs from what is noted: rows of (action, version, keep, keep_failed).
select exists (
    select k.value ->> 0, k.value ->> 1, k.value ->> 2, k.value ->> 3 from json_each(:keeps) as k
    except select action, version, keep, keep_failed from keeping
)
