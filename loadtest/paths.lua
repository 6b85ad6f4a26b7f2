-- Asks for each path of the file PATHS in turn, every thread from a place of its own; summary.lua tells what came of it.
local paths, at = {}, 0
dofile(os.getenv("SUMMARY"))
init = function()
  for line in io.lines(os.getenv("PATHS")) do paths[#paths + 1] = line end
  math.randomseed(os.time())
  at = math.random(#paths)
end
request = function()
  at = at % #paths + 1
  return wrk.format(nil, paths[at])
end
