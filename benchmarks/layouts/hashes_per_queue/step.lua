-- step: complete + claim in one call; either half may be empty (no acks = claim, n=0 = complete)
-- ARGV 1 now|"" 2 wid 3 nonce 4 n 5 lease_ms 6 promote_max 7 keep: how many completed stay (0 none)
--      8 log2 run-time buckets, one char 'A'+b per ack 9 sum of run ms 10 extras JSON {"<i>":{"u":ukey}}|"" then 2 per ack: id, rec
-- rec = token..attempt|dur_ms|result, token = <fence>-<nonce>~<started ms>~<wid>|  (one per claim call; the value of Qa[id])
-- -> {n acked | {K S G per ack}, token, ids, bodies, history|false, next due ms|PAUSED}
local K,c,A=KEYS[1],redis.call,ARGV
local now=tonumber(A[1])
if not now then local t=c('TIME') now=t[1]*1000+math.floor(t[2]/1000) end
local nows=string.format('%.0f',now)
local acks,e1=0,nil
local mk=K..'n:'..math.floor(now/60000)
local m=(#A-10)/2
local rare=c('EXISTS',K..'s',K..'x',K..'cx')>0    -- anything retried, awaited or being cancelled in this queue?
if m>0 then
  local ids,recs={},{}
  for i=1,m do ids[i]=A[9+i*2] recs[i]=A[10+i*2] end
  local cur=c('HMGET',K..'a',unpack(ids))
  local st,bad
  for i=1,m do if not cur[i] or string.find(recs[i],cur[i],1,true)~=1 then bad=true break end end
  c('HDEL',K..'a','-')                           -- prime: not deny-oom, opens the rest when over maxmemory
  if bad then                                    -- sort out stale and repeated acks, keep the good ones
    st={} local gi,gr,gb,stale={},{},{},0
    for i=1,m do
      if cur[i] and string.find(recs[i],cur[i],1,true)==1 then
        st[i]='K' gi[#gi+1]=ids[i] gr[#gr+1]=recs[i] gb[#gb+1]=string.sub(A[8],i,i) cur[i]=false
        for j=i+1,m do if ids[j]==ids[i] and recs[j]==recs[i] then cur[j]=false st[j]='K' end end
      elseif not st[i] then
        local f=c('HGET',K..'f',ids[i])
        if f and string.match(f,'^[^|]*')==string.match(recs[i],'^[^|]*') then st[i]='K'
        else st[i]=(f or c('HEXISTS',K..'b',ids[i])==1) and 'S' or 'G' stale=stale+1 end
      end
    end
    if stale>0 then c('HINCRBY',K..'c','stale',stale) end
    ids,recs,m=gi,gr,#gi A[8]=table.concat(gb)
  end
  acks=st or m
  if m>0 then
    if c('HDEL',K..'a',unpack(ids))<m then          -- the caller listed one id twice: count it once
      local seen,gi,gr,gb={},{},{},{}
      for i=1,m do local id=ids[i] if not seen[id] then seen[id]=true gi[#gi+1]=id gr[#gr+1]=recs[i] gb[#gb+1]=string.sub(A[8],i,i) end end
      ids,recs,m=gi,gr,#gi A[8]=table.concat(gb)
    end
    c('ZREM',K..'l',unpack(ids))
    local keep=tonumber(A[7])
    if keep>0 then
      local hs={}
      for i=1,m do hs[i*2-1]=ids[i] hs[i*2]=recs[i] end
      local zo={} for i=1,m do zo[i*2-1]=nows zo[i*2]=ids[i] end
      c('HSET',K..'f',unpack(hs)) c('ZADD',K..'o',unpack(zo))
      local over=c('ZCARD',K..'o')-keep
      if over>0 then
        local p,old=c('ZPOPMIN',K..'o',math.min(over,2*m)),{}
        for i=1,#p,2 do old[#old+1]=p[i] end
        if #old>0 then c('HDEL',K..'f',unpack(old)) c('HDEL',K..'b',unpack(old)) end
      end
    else c('HDEL',K..'b',unpack(ids)) end
    if rare then
      c('HDEL',K..'s',unpack(ids)) c('SREM',K..'cx',unpack(ids))
      local dep,zp=c('HMGET',K..'x',unpack(ids)),{}
      for i=1,m do if dep[i] then
        c('HDEL',K..'x',ids[i])
        for ch in string.gmatch(dep[i],'[^,]+') do
          if c('HINCRBY',K..'h',ch,-1)<=0 then
            c('HDEL',K..'h',ch)
            local s=c('ZSCORE',K..'w',ch)
            if s then c('ZREM',K..'w',ch) zp[#zp+1]=s zp[#zp+1]=ch end
          end
        end
      end end
      if #zp>0 then c('ZADD',K..'p',unpack(zp)) c('ZADD',K..'k',0,'0') end
    end
    if A[10]~='' then
      for i,x in pairs(cjson.decode(A[10])) do
        if (not st or st[tonumber(i)]=='K') and c('GET',K..'u:'..x.u)==A[9+i*2] then c('DEL',K..'u:'..x.u) end
      end
    end
    c('HINCRBY',K..'c','ok',m)
    if c('HINCRBY',mk,'ok',m)==m then c('EXPIRE',mk,172800) end
    c('HINCRBY',mk,'ms',A[9])
    local h,q={},A[8]
    for i=1,m do local b=string.byte(q,i) h[b]=(h[b] or 0)+1 end
    for b,x in pairs(h) do c('HINCRBY',mk,'h'..(b-65),x) end
    e1=table.concat(ids,',')
  end
end
local n=tonumber(A[4])
local r={acks,false,false,false,false,''}
if n>0 and c('HGET',K..'m','paused')=='1' then r[6]='PAUSED' n=0 end
if n>0 then
  local due=c('ZRANGEBYSCORE',K..'d','-inf',nows,'LIMIT',0,A[6])
  if #due>0 then
    c('ZREM',K..'d',unpack(due))
    local b,zp=c('HMGET',K..'b',unpack(due)),{}
    for i=1,#due do if b[i] then zp[#zp+1]=string.match(b[i],'^%d+') zp[#zp+1]=due[i] end end
    if #zp>0 then c('ZADD',K..'p',unpack(zp)) end
  end
  local p=c('ZPOPMIN',K..'p',n)
  local k=#p/2
  if k==0 then r[6]=c('ZRANGE',K..'d',0,0,'WITHSCORES')[2] or ''
  else
    local f=c('HINCRBY',K..'c','fence',1)
    local tok=string.format('%.0f',f)..'-'..A[3]..'~'..nows..'~'..A[2]..'|'
    local exp=string.format('%.0f',now+tonumber(A[5]))
    local ids,hs,za={},{},{}
    for i=1,k do ids[i]=p[i*2-1] end
    local b=c('HMGET',K..'b',unpack(ids))
    for i=1,k do
      if b[i] then hs[#hs+1]=ids[i] hs[#hs+1]=tok za[#za+1]=exp za[#za+1]=ids[i]
      else c('HINCRBY',K..'c','ghost',1) end       -- reply carries a nil body: the worker skips it
    end
    if f%64==1 then                                -- sentinels over 64 bytes: neither key may become a listpack
      local s=string.rep('~',70) hs[#hs+1]='!' hs[#hs+1]=s za[#za+1]='inf' za[#za+1]=s
    end
    if #hs>0 then c('HSET',K..'a',unpack(hs)) c('ZADD',K..'l',unpack(za)) end
    r[2]=tok r[3]=ids r[4]=b
    if rare then r[5]=c('HMGET',K..'s',unpack(ids)) end
    if k==n and c('EXISTS',K..'p')==1 then c('ZADD',K..'k',0,'0') end
    local e2=table.concat(ids,',')
    if e1 then c('XADD',K..'e','MAXLEN','~',10000,'*','e','step','w',A[2],'ok',e1,'start',e2) e1=nil
    else c('XADD',K..'e','MAXLEN','~',10000,'*','e','start','w',A[2],'i',e2) end
  end
end
if e1 then c('XADD',K..'e','MAXLEN','~',10000,'*','e','ok','w',A[2],'i',e1) end
return r
