// What users of dockerode do, from run to remove.  DOCKER_HOST names the daemon.
const assert = require('assert');
const stream = require('stream');
const Docker = require('dockerode');
const { tarOf, textOf } = require('./help');

const docker = new Docker({ socketPath: process.env.DOCKER_HOST.replace('unix://', '') });

async function run() {
  const out = new stream.PassThrough();
  const got = textOf(out);
  const [result] = await docker.run('busybox', ['sh', '-c', 'echo from dockerode'], [out, new stream.PassThrough()],
    { Tty: false, HostConfig: { AutoRemove: true } });
  out.end();
  assert.equal(result.StatusCode, 0);
  assert.equal(await got, 'from dockerode\n');
}

async function exec(c) {
  const e = await c.exec({ Cmd: ['cat'], AttachStdin: true, AttachStdout: true, AttachStderr: true });
  const s = await e.start({ hijack: true, stdin: true });
  const out = new stream.PassThrough();
  const got = textOf(out);
  docker.modem.demuxStream(s, out, out);
  s.on('end', () => out.end());
  s.write('through exec\n');
  s.end();
  assert.equal(await got, 'through exec\n');
  assert.equal((await e.inspect()).ExitCode, 0);
}

async function life(c) {
  const events = await docker.getEvents({ filters: { container: [c.id] } });
  const actions = [];
  const done = new Promise((resolve) => events.on('data', (d) => {
    actions.push(...d.toString().trim().split('\n').map((line) => JSON.parse(line).Action));
    if (actions.includes('destroy')) resolve();
  }));
  await c.pause();
  await c.unpause();
  await c.restart({ t: 0 });
  await c.stop({ t: 0 });
  await c.rename({ name: 'ode-renamed' });
  await c.remove({ force: true });
  await done;
  events.destroy();
  for (const action of ['pause', 'unpause', 'restart', 'stop', 'rename', 'destroy']) assert(actions.includes(action), action);
}

async function main() {
  assert.equal((await docker.version()).ApiVersion, '1.51');
  await run();
  const c = await docker.createContainer({ Image: 'busybox', Cmd: ['sleep', '1000'], name: 'ode', Labels: { of: 'node' } });
  await c.start();
  await exec(c);
  assert.equal((await docker.listContainers({ filters: { label: ['of=node'] } })).length, 1);
  assert((await c.stats({ stream: false })).memory_stats.usage > 0);
  await c.putArchive(require('zlib').gzipSync(tarOf('hello', 'hi there')), { path: '/tmp' });
  assert((await textOf(await c.getArchive({ path: '/tmp/hello' }))).includes('hi there'));
  await life(c);
  const volume = await docker.createVolume({ Name: 'ode-volume' });
  assert.equal((await volume.inspect()).Driver, 'local');
  await volume.remove();
  const network = await docker.createNetwork({ Name: 'ode-network' });
  assert.equal((await network.inspect()).Driver, 'bridge');
  await network.remove();
  await assert.rejects(docker.getContainer('none').inspect(), (e) => e.statusCode === 404);
}

main().then(() => process.exit(0), (e) => { console.error(e); process.exit(1); });
