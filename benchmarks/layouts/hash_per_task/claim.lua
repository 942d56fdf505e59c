-- ARGV: now|"", wid, nonce, n, lease_ms, promote_max
local K=KEYS[1] local c=redis.call
local now=tonumber(ARGV[1])
if not now then local t=c('TIME') now=t[1]*1000+math.floor(t[2]/1000) end
local n=tonumber(ARGV[4])
local m=c('HMGET',K..'m','paused','rate','burst')
if m[1]=='1' then return {'PAUSED'} end
-- promote due delayed
local due=c('ZRANGEBYSCORE',K..'d','-inf',string.format('%.0f',now),'LIMIT',0,tonumber(ARGV[6]))
if #due>0 then
  c('ZREM',K..'d',unpack(due))
  local zp={}
  for i=1,#due do
    local v=c('HMGET',K..'t:'..due[i],'p','q')
    if v[1] then zp[#zp+1]=string.format('%.0f',tonumber(v[1])*35184372088832+tonumber(v[2])) zp[#zp+1]=due[i] c('HSET',K..'t:'..due[i],'s','p') end
  end
  if #zp>0 then c('ZADD',K..'p',unpack(zp)) end
end
local ids=c('ZPOPMIN',K..'p',n)      -- not deny-oom: works (and unlocks the rest) when maxmemory is hit
local k=#ids/2
if k==0 then
  local nx=c('ZRANGE',K..'d',0,0,'WITHSCORES')
  return {'EMPTY',nx[2] or ''}
end
local f=c('HINCRBY',K..'c','fence',k)-k
local exp=string.format('%.0f',now+tonumber(ARGV[5]))
local nows=string.format('%.0f',now)
local out,za,ev={'OK',exp},{},{}
for i=1,#ids,2 do
  local id=ids[i] local tk=K..'t:'..id
  local v=c('HMGET',tk,'n','m','o','p','c','x','cr')
  if v[1] then
    f=f+1
    local tok=string.format('%.0f',f)..'-'..ARGV[3]
    c('HSET',tk,'s','a','f',tok,'w',ARGV[2],'st',nows)
    local a=c('HINCRBY',tk,'a',1)
    za[#za+1]=exp za[#za+1]=id
    ev[#ev+1]=id
    out[#out+1]={id,tok,v[1],a,v[2],v[3] or '',v[4],v[5],c('GET',K..'b:'..id) or ''}
  else c('HINCRBY',K..'c','ghost',1) end
end
if #za>0 then c('ZADD',K..'a',unpack(za)) end
if c('ZCARD',K..'p')>0 then c('ZADD',K..'k',0,'0') end
if ARGV[7]~='-noev' and #ev>0 then c('XADD',K..'e','MAXLEN','~',10000,'*','e','start','w',ARGV[2],'i',table.concat(ev,',')) end
return out
