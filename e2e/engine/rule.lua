-- SPDX-License-Identifier: Apache-2.0
-- One rule of a rule file, as a sysdig chisel: prints the number of the rule,
-- then, in the engine's own format, the fields of its output.

description = "print the events that a condition matches"
short_description = "rule"
category = "misc"
args = {
	{ name = "number", description = "the number of the rule", argtype = "string" },
	{ name = "condition", description = "a file with the condition", argtype = "string" },
	{ name = "format", description = "a file with the fields to print", argtype = "string" },
}

local given = {}

function on_set_arg(name, value)
	given[name] = value
	return true
end

local function read(name)
	local file = assert(io.open(name))
	local text = file:read("*a")
	file:close()
	return text
end

function on_init()
	chisel.set_filter(read(given.condition))
	chisel.set_event_formatter(read(given.format))
	return true
end

function on_event()
	print("#rule " .. given.number)
	return true
end
