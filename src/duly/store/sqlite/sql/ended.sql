-- Which of these tasks have ended or are unknown.
select wanted.value from json_each(:ids) as wanted left join task on task.id = wanted.value
where task.key is null or task.state > 3
