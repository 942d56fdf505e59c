-- prime: lets the rest of the script write although memory is over its limit.
-- Redis refuses a script at its first command that may need memory, but not once the script has written (measured on
-- 6.2 and 7.0). Deleting a field that is never there is a write that needs none. So work drains when memory is full.
call('HDEL', Q .. 'tokens', '-')
