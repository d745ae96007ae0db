-- Requests as the SDK of a provider sends them, no two alike: by turns a message is
-- created (POST of a form) and looked up (GET). Each has its own path or body, and an
-- identifier of its own, as a tracing library adds it.
local account = "AC0123456789abcdef0123456789abcdef"
local base = "/2010-04-01/Accounts/" .. account .. "/Messages"
local common = "Host: api.example.com\r\n"
  .. "User-Agent: provider-python/9.8.0 (Linux x86_64) Python/3.11.2\r\n"
  .. "X-Provider-Client: python-9.8.0\r\n"
  .. "Accept-Charset: utf-8\r\n"
  .. "Accept-Encoding: gzip, deflate\r\n"
  .. "Accept: application/json\r\n"
  .. "Connection: keep-alive\r\n"
  .. "Authorization: Basic QUMwMTIzNDU2Nzg5YWJjZGVmOjAxMjM0NTY3ODlhYmNkZWY=\r\n"
local form = "Content-Type: application/x-www-form-urlencoded\r\n"
math.randomseed(os.time())
local trace = string.format("%08x", math.random(0, 0x7fffffff))
local count = 0

function request()
  count = count + 1
  local id = string.format("%s%024x", trace, count)
  if count % 2 == 0 then
    return "GET " .. base .. "/SM" .. id .. ".json HTTP/1.1\r\n" .. common
      .. "X-Request-Id: " .. id .. "\r\n\r\n"
  end
  local body = "To=%2B15558675310&From=%2B15017122661&Body=Your+code+is+" .. id
  return "POST " .. base .. ".json HTTP/1.1\r\n" .. common .. form
    .. "X-Request-Id: " .. id .. "\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end
