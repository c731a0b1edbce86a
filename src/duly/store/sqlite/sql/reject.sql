-- Makes room in the history for late answers; what was emptied has none.
-- rows: Rejection
update task set seq = seq + json_array_length(r.value -> @events)
from jsonb_each(:rejections) as r where task.key = r.value ->> @key and seq > 0
