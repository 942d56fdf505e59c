-- ARGV: now|"", n, keep(1|0), then 5 per task: id, token, result, result_ttl_ms, dur_ms
local K=KEYS[1] local c=redis.call
local now=tonumber(ARGV[1])
if not now then local t=c('TIME') now=t[1]*1000+math.floor(t[2]/1000) end
local nows=string.format('%.0f',now)
local n=tonumber(ARGV[2]) local keep=ARGV[3]=='1'
local out,rm,zo,ev={},{},{},{} local ok,stale,dur=0,0,0
local h={}
for i=1,n do
  local o=4+(i-1)*5
  local id,tok=ARGV[o],ARGV[o+1]
  local tk=K..'t:'..id
  local v=c('HMGET',tk,'s','f','u')
  if not v[1] then out[i]='G'
  elseif v[2]~=tok then out[i]='S' stale=stale+1
  elseif v[1]~='a' then out[i]=(v[1]=='o') and 'K' or 'S'
  else
    c('ZREM',K..'a',id)
    if keep then
      c('HSET',tk,'s','o','ft',nows)
      zo[#zo+1]=nows zo[#zo+1]=id
    else c('DEL',tk,K..'b:'..id) end
    if ARGV[o+2]~='' then c('SET',K..'r:'..id,ARGV[o+2],'PX',ARGV[o+3]) end
    if v[3] and c('GET',K..'u:'..v[3])==id then c('DEL',K..'u:'..v[3]) end
    local dk=K..'x:'..id
    if c('EXISTS',dk)==1 then
      local dep=c('SMEMBERS',dk)
      for j=1,#dep do
        local ct=K..'t:'..dep[j]
        if c('HINCRBY',ct,'dn',-1)==0 then
          c('ZREM',K..'w',dep[j])
          local pv=c('HMGET',ct,'p','q')
          c('HSET',ct,'s','p')
          c('ZADD',K..'p',string.format('%.0f',tonumber(pv[1])*35184372088832+tonumber(pv[2])),dep[j])
          c('ZADD',K..'k',0,'0')
        end
      end
      c('DEL',dk)
    end
    ok=ok+1 ev[ok]=id out[i]='K'
    local d=tonumber(ARGV[o+4]) dur=dur+d
    local b=0 while d>=1 and b<20 do d=d/2 b=b+1 end
    h[b]=(h[b] or 0)+1
  end
end
if ok>0 then
  if #zo>0 then c('ZADD',K..'o',unpack(zo)) end
  c('HINCRBY',K..'c','ok',ok)
  local mk=K..'n:'..math.floor(now/60000)
  if c('HINCRBY',mk,'ok',ok)==ok then c('EXPIRE',mk,172800) end
  c('HINCRBY',mk,'ms',math.floor(dur))
  for b,x in pairs(h) do c('HINCRBY',mk,'h'..b,x) end
  if ARGV[#ARGV]~='-noev' then c('XADD',K..'e','MAXLEN','~',10000,'*','e','ok','i',table.concat(ev,',')) end
end
if stale>0 then c('HINCRBY',K..'c','stale',stale) end
return out
