// A port, a network with an alias, a log line and a health check to wait for, a copied file.
const assert = require('assert');
const net = require('net');
const { GenericContainer, Network, Wait } = require('testcontainers');

const read = (port, host) => new Promise((resolve, reject) => {
  const s = net.connect(port, host);
  let text = '';
  s.on('data', (d) => { text += d; });
  s.on('end', () => resolve(text));
  s.on('error', reject);
});

async function main() {
  const network = await new Network().start();
  const server = await new GenericContainer('busybox')
    .withCommand(['sh', '-c', 'echo ready; nc -ll -p 8080 -e echo answer'])
    .withExposedPorts(8080)
    .withNetwork(network)
    .withNetworkAliases('server')
    .withWaitStrategy(Wait.forLogMessage('ready'))
    .withCopyContentToContainer([{ content: 'copied', target: '/tmp/copied.txt' }])
    .withEnvironment({ K: 'V' })
    .start();
  assert.equal((await server.exec(['cat', '/tmp/copied.txt'])).output, 'copied');
  assert.equal((await server.exec(['sh', '-c', 'echo $K; exit 3'])).exitCode, 3);
  assert.equal(await read(server.getMappedPort(8080), server.getHost()), 'answer\n');
  const other = await new GenericContainer('busybox').withCommand(['sleep', '100']).withNetwork(network).start();
  assert.equal((await other.exec(['nc', server.getIpAddress(network.getName()), '8080'])).output, 'answer\n');
  const healthy = await new GenericContainer('busybox').withCommand(['sleep', '100'])
    .withHealthCheck({ test: ['CMD', 'true'], interval: 200 })
    .withWaitStrategy(Wait.forHealthCheck())
    .start();
  await server.restart();
  await Promise.all([server.stop(), other.stop(), healthy.stop()]);
  await network.stop();
}

main().then(() => process.exit(0), (e) => { console.error(e); process.exit(1); });
