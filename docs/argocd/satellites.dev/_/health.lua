-- Health of Satellites and SatelliteClasses: what their conditions say, once they speak of the present generation.
local hs = { status = "Progressing", message = "Waiting for the operator to observe it" }

if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return hs
end

local conditions = {}
for _, condition in ipairs(obj.status.conditions or {}) do
  conditions[condition.type] = condition
end
local ready = conditions["Ready"]
local stalled = conditions["Stalled"]

if ready == nil then
  return hs
end
hs.message = ready.reason .. ": " .. ready.message
if stalled ~= nil and stalled.status == "True" then
  hs.status = "Degraded"
elseif ready.status ~= "True" then
  hs.status = "Progressing"
else
  -- Asleep as wished, too: sync waves would wait for ever for one that is Suspended.
  hs.status = "Healthy"
end
return hs
