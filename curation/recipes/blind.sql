-- Traces written without sight of the outcome that came to the measured one: the paper's approach 1, no critic.
SELECT trace_id FROM candidates WHERE approach = 'blind' AND answer = label
