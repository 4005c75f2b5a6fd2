-- Traces whose grade is this one or a better one; those without a grade are not. `WHERE at_least('good')`
CREATE MACRO at_least(lowest) AS
    coalesce(list_position(['terrible', 'bad', 'average', 'good', 'excellent'], grade), 0) >= coalesce(
        list_position(['terrible', 'bad', 'average', 'good', 'excellent'], lowest || ''),
        error('at_least(''' || lowest || '''): wanted excellent, good, average, bad or terrible')
    )
