-- The three types in text, binary and arrays: the smallest round.
SELECT '[1,2,3]'::vector(3), ' [ 1 , 2.5e3,-1e-46 ] '::halfvec, '{3:2,1:1.5,2:0}/5'::sparsevec;
SELECT '[1e39]'::vector;
SELECT '[1,65520]'::halfvec;
SELECT '{1:1,6:2}/5'::sparsevec;
SELECT '[1,2]'::vector(3);
SELECT '[1,x]'::vector(3);
SELECT encode(vector_send('[1,2]'),'hex'), encode(sparsevec_send('{3:2}/7'),'hex'), encode(halfvec_send('[1,2]'),'hex');
SELECT ARRAY[1,2,3]::vector, ARRAY[1,2,3]::numeric[]::halfvec, ARRAY[1,0,2.5]::float8[]::sparsevec, '[1,2]'::vector::real[], '{1:2}/3'::sparsevec::vector;
