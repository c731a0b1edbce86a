-- Has the planner know of what has come.
analyze {schema}.task, {schema}.ended, {schema}.event
