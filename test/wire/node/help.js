// What the scripts share.
async function textOf(readable) {
  const pieces = [];
  for await (const piece of readable) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

// A tar of one file.
function tarOf(name, text) {
  const head = Buffer.alloc(512);
  const body = Buffer.alloc(512);
  body.write(text);
  const put = (value, at) => head.write(value, at);
  put(name, 0);
  put('0000644\0', 100);
  put('0000000\0', 108);
  put('0000000\0', 116);
  put(text.length.toString(8).padStart(11, '0') + '\0', 124);
  put('00000000000\0', 136);
  put('        ', 148);
  put('0', 156);
  put('ustar\x0000', 257);
  let sum = 0;
  for (const byte of head) sum += byte;
  put(sum.toString(8).padStart(6, '0') + '\0 ', 148);
  return Buffer.concat([head, body, Buffer.alloc(1024)]);
}

module.exports = { textOf, tarOf };
