-- KEYS[1]=prefix "tq:{q}:"  ARGV[1]=now_ms|"" ARGV[2]=n  then 9 per task:
-- id,name,prio(0..255, 0 first),delay_ms,max_attempts,opts,ukey,uttl_ms,payload
local K=KEYS[1]
local c=redis.call
local now=tonumber(ARGV[1])
if not now then local t=c('TIME') now=t[1]*1000+math.floor(t[2]/1000) end
local n=tonumber(ARGV[2])
local max=tonumber(c('HGET',K..'m','max') or nil)
if max and c('ZCARD',K..'p')+c('ZCARD',K..'d')+n>max then return {'FULL'} end
local seq=c('HINCRBY',K..'c','seq',n)-n      -- first write is deny-oom: OOM aborts before any mutation
local out,zp,zd,ev={},{},{},{}
local added=0
for i=1,n do
  local o=3+(i-1)*9
  local id=ARGV[o]
  local tk=K..'t:'..id
  local st='A'
  if c('EXISTS',tk)==1 then st='D'
  else
    local uk=ARGV[o+6]
    if uk~='' then
      if not c('SET',K..'u:'..uk,id,'NX','PX',ARGV[o+7]) then st='U:'..(c('GET',K..'u:'..uk) or '') end
    end
    if st=='A' then
      local prio=tonumber(ARGV[o+2]); local delay=tonumber(ARGV[o+3]); local q=seq+i
      local s='p'
      if delay>0 then s='d' zd[#zd+1]=string.format('%.0f',now+delay) zd[#zd+1]=id
      else zp[#zp+1]=string.format('%.0f',prio*35184372088832+q) zp[#zp+1]=id end
      c('HSET',tk,'s',s,'n',ARGV[o+1],'p',prio,'c',string.format('%.0f',now),'q',string.format('%.0f',q),'m',ARGV[o+4],'o',ARGV[o+5])
      if uk~='' then c('HSET',tk,'u',uk) end
      c('SET',K..'b:'..id,ARGV[o+8])
      added=added+1 ev[added]=id
    end
  end
  out[i]=st
end
if #zp>0 then c('ZADD',K..'p',unpack(zp)) c('ZADD',K..'k',0,'0') end
if #zd>0 then c('ZADD',K..'d',unpack(zd)) end
if added>0 then
  c('HINCRBY',K..'c','enq',added)
  local mk=K..'n:'..math.floor(now/60000)
  if c('HINCRBY',mk,'enq',added)==added then c('EXPIRE',mk,172800) end
  if ARGV[#ARGV]~='-noev' then c('XADD',K..'e','MAXLEN','~',10000,'*','e','enq','i',table.concat(ev,',')) end
end
return out
