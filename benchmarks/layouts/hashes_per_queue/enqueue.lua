-- enqueue: ARGV now|"" , then 3 per task: id, meta, hdr..payload
-- meta = "<prio>" or JSON {p=prio,d=delay_ms,u=ukey,ut=ttl_ms,dep={ids}}; body = type|max|opts|ukey|payload
-- -> n accepted (all) | {per task A D U:<id> M:<missing parent>} | {'FULL'}
local K,c,A=KEYS[1],redis.call,ARGV
local now=tonumber(A[1])
if not now then local t=c('TIME') now=t[1]*1000+math.floor(t[2]/1000) end
local nows=string.format('%.0f',now)
local n=(#A-1)/3
local mx=c('HGET',K..'m','max')
if mx and c('ZCARD',K..'p')+c('ZCARD',K..'d')+c('ZCARD',K..'w')+n>tonumber(mx) then return {'FULL'} end
local seq=c('HINCRBY',K..'c','seq',n)-n          -- first write, deny-oom: refused whole
local ids={} for i=1,n do ids[i]=A[i*3-1] end
local old=c('HMGET',K..'b',unpack(ids))
local hb,zp,zd,zw,ev,out={},{},{},{},{},nil
local sfx='|'..nows..'|'
for i=1,n do
  local id,m=ids[i],A[i*3]
  local st,z,zs,s
  if old[i] then st='D'
  else
    local p=tonumber(m)
    if p then s=string.format('%.0f',p*35184372088832+seq+i) z,zs=zp,s
    else
      local j=cjson.decode(m) s=string.format('%.0f',j.p*35184372088832+seq+i) z,zs=zp,s
      if j.d and j.d>0 then z,zs=zd,string.format('%.0f',now+j.d) end
      if j.dep then
        local v=c('HMGET',K..'b',unpack(j.dep)) local f=c('HMGET',K..'f',unpack(j.dep)) local left=0
        for x=1,#j.dep do if not f[x] then if v[x] then left=left+1 else st='M:'..j.dep[x] end end end
        if left>0 then z,zs=zw,s end                -- a delay on a blocked task is ignored
      end
      if not st and j.u and not c('SET',K..'u:'..j.u,id,'NX','PX',j.ut) then st='U:'..(c('GET',K..'u:'..j.u) or '') end
      if not st and z==zw then                     -- register with the parents only once nothing can refuse it
        local left=0
        for x=1,#j.dep do
          if c('HEXISTS',K..'f',j.dep[x])==0 then
            local o=c('HGET',K..'x',j.dep[x]) c('HSET',K..'x',j.dep[x],o and o..','..id or id) left=left+1
          end
        end
        c('HSET',K..'h',id,left)
      end
    end
  end
    if not st then
      hb[#hb+1]=id hb[#hb+1]=s..sfx..A[i*3+1]
      z[#z+1]=zs z[#z+1]=id ev[#ev+1]=id
    end
  if st then out=out or {} out[i]=st end
end
if #hb>0 then
  local added=c('HSET',K..'b',unpack(hb))        -- counts new fields: a duplicate inside the call is not counted twice
  if #zp>0 then c('ZADD',K..'p','NX',unpack(zp)) c('ZADD',K..'k',0,'0') end
  if #zd>0 then c('ZADD',K..'d','NX',unpack(zd)) c('ZADD',K..'k',0,'0') end
  if #zw>0 then c('ZADD',K..'w','NX',unpack(zw)) end
  c('HINCRBY',K..'c','enq',added)
  local mk=K..'n:'..math.floor(now/60000)
  if c('HINCRBY',mk,'enq',added)==added then c('EXPIRE',mk,172800) end
  c('XADD',K..'e','MAXLEN','~',10000,'*','e','enq','i',table.concat(ev,','))
end
if not out then return n end
for i=1,n do out[i]=out[i] or 'A' end
return out
