"""Registries for tests, inside the daemon's network namespace: Debian's docker-registry, and one of our own that lies."""
import ctypes
import gzip
import hashlib
import http.server
import io
import json
import os
import socket
import ssl
import subprocess
import tarfile
import threading
import time

REGISTRY = os.path.join(os.environ.get("BERTH_DOCKER_IO", os.path.expanduser("~/.cache/berth/docker.io")), "usr/bin/docker-registry")
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
DOCKER = "application/vnd.docker.distribution.manifest."
OCI = "application/vnd.oci.image."


def listen_in(netns, address, port):
    """A listening socket inside a network namespace; the thread that made it is gone afterwards."""
    made = []

    def work():
        fd = os.open("/run/netns/" + netns, os.O_RDONLY)
        try:
            if LIBC.setns(fd, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((address, port))
            s.listen(64)
            made.append(s)
        finally:
            os.close(fd)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return made[0]


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer(files, compress="gzip"):
    """(blob, diff id) of a layer with these files; None is a directory, bytes a file, str a link."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            if content is None:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
            else:
                entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content) if isinstance(content, bytes) else None)
    plain = out.getvalue()
    if compress == "gzip":
        return gzip.compress(plain, 1, mtime=0), digest(plain)
    if compress == "zstd":
        return subprocess.run(["zstd", "-q", "-c"], input=plain, capture_output=True, check=True).stdout, digest(plain)
    return plain, digest(plain)


def busybox_files():
    with open(os.path.realpath("/bin/busybox"), "rb") as f:
        files = {"bin": None, "bin/busybox": f.read()}
    for name in ("sh", "cat", "echo", "true", "ls", "sleep"):
        files["bin/" + name] = "busybox"
    return files


class Image:
    """Configuration, layers and manifest of an image; blobs by digest."""

    def __init__(self, layers, oci=False, architecture="amd64", variant=None, **config):
        self.blobs, diff_ids, entries = {}, [], []
        kinds = {"gzip": ".tar.gzip" if not oci else ".tar+gzip", "zstd": ".tar+zstd", None: ".tar"}
        for files, compress in layers:
            blob, diff_id = layer(files, compress)
            diff_ids.append(diff_id)
            media = (OCI + "layer.v1" if oci else "application/vnd.docker.image.rootfs.diff") + kinds[compress]
            entries.append({"mediaType": media, "size": len(blob), "digest": digest(blob)})
            self.blobs[digest(blob)] = blob
        body = {"architecture": architecture, "os": "linux", "config": {"Cmd": ["sh"], **config},
                "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": [{"created_by": "test"}] * len(diff_ids)}
        if variant:
            body["variant"] = variant
        self.config = json.dumps(body).encode()
        self.id = digest(self.config)
        self.blobs[self.id] = self.config
        self.media_type = OCI + "manifest.v1+json" if oci else DOCKER + "v2+json"
        self.parts = {"schemaVersion": 2, "mediaType": self.media_type,
                      "config": {"mediaType": OCI + "config.v1+json" if oci else "application/vnd.docker.container.image.v1+json",
                                 "size": len(self.config), "digest": self.id}, "layers": entries}
        self.platform = {"architecture": architecture, "os": "linux", **({"variant": variant} if variant else {})}

    @property
    def manifest(self):
        return json.dumps(self.parts).encode()


def index_of(images, oci=True):
    """An index, as bytes, and its media type."""
    media = OCI + "index.v1+json" if oci else DOCKER + "list.v2+json"
    return json.dumps({"schemaVersion": 2, "mediaType": media, "manifests": [
        {"mediaType": i.media_type, "size": len(i.manifest), "digest": digest(i.manifest), "platform": i.platform}
        for i in images]}).encode(), media


class Registry:
    """A registry of the tests' own: what it holds is served truly, unless `lie` answers first.

    lie(handler, path) returns True when it has answered.  Every request is noted as (method, path, headers)."""

    def __init__(self, netns, port=5001, address="127.0.0.1", tls=None):
        """tls: (certificate, key) files, or with a third, the authority of the clients that may show theirs."""
        self.manifests, self.blobs, self.asked, self.lie, self.connections, self.shown = {}, {}, [], None, [], []
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                registry.connections.append(self.connection)
                if tls:
                    self.connection.do_handshake()
                    registry.shown.append(self.connection.getpeercert())

            def log_message(self, *_):
                pass

            def answer(self, status, body=b"", media="application/json", **headers):
                self.send_response(status)
                self.send_header("Content-Type", media)
                self.send_header("Content-Length", str(len(body)))
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def refuse(self, status, code, message, **headers):
                self.answer(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), **headers)

            def do_GET(self):
                registry.asked.append((self.command, self.path, dict(self.headers)))
                if not (registry.lie and registry.lie(self, self.path)):
                    registry.serve(self)

            do_HEAD = do_POST = do_GET

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Server((address, port), Handler, bind_and_activate=False)
        self.server.socket.close()
        self.server.socket = listen_in(netns, address, port)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls[:2])
            if tls[2:]:
                context.load_verify_locations(tls[2])
                context.verify_mode = ssl.CERT_OPTIONAL
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.name = "%s:%d" % (address, port)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def serve(self, handler):
        path = handler.path.split("?")[0]
        kind, what = path.split("/")[-2], path.split("/")[-1]
        if kind == "manifests" and what in self.manifests:
            body, media = self.manifests[what]
            handler.answer(200, body, media, Docker_Content_Digest=digest(body))
        elif kind == "manifests":
            handler.refuse(404, "MANIFEST_UNKNOWN", "manifest unknown")
        elif kind == "blobs" and what in self.blobs:
            body, begin = self.blobs[what], 0
            wanted = handler.headers.get("Range", "")
            if wanted.startswith("bytes="):
                begin = int(wanted[6:].split("-")[0])
            handler.answer(206 if begin else 200, body[begin:], "application/octet-stream")
        elif path == "/v2/":
            handler.answer(200, b"{}")
        else:
            handler.refuse(404, "BLOB_UNKNOWN", "blob unknown")

    def hold(self, image, tag="latest"):
        self.blobs.update(image.blobs)
        self.manifests[tag] = self.manifests[digest(image.manifest)] = (image.manifest, image.media_type)

    def hold_index(self, images, tag="latest", oci=True):
        for image in images:
            self.hold(image, digest(image.manifest))
        body, media = index_of(images, oci)
        self.manifests[tag] = self.manifests[digest(body)] = (body, media)
        return digest(body)

    def close(self):
        """With the connections that a client keeps for later."""
        self.server.shutdown()
        self.server.server_close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class DebianRegistry:
    """docker-registry, with the config lines given, in the daemon's network namespace."""

    def __init__(self, daemon, root, port=5000, address="127.0.0.1", more=""):
        os.makedirs(root, exist_ok=True)
        self.name, self.daemon = "%s:%d" % (address, port), daemon
        config = os.path.join(root, "config.yml")
        with open(config, "w") as f:
            f.write("version: 0.1\nlog: {level: error}\nstorage:\n  filesystem: {rootdirectory: %s/store}\n  delete: {enabled: true}\n"
                    "http:\n  addr: %s\n%s" % (root, self.name, more))
        self.log = open(os.path.join(root, "log"), "wb")
        self.process = subprocess.Popen(["ip", "netns", "exec", daemon.netns, REGISTRY, "serve", config], stdout=self.log, stderr=self.log)
        for _ in range(200):
            if daemon.in_netns("bash", "-c", "exec 3<>/dev/tcp/%s/%d" % (address, port), check=False, stderr=subprocess.DEVNULL).returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError("docker-registry does not answer: " + open(os.path.join(root, "log")).read())

    def skopeo(self, *words, check=True):
        return self.daemon.in_netns("skopeo", *words, capture_output=True, text=True, check=check)

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


class Authority:
    """An authority of the tests' own, and the certificates it gives."""

    def __init__(self, folder, name="authority"):
        self.folder, self.cert, self.key = folder, os.path.join(folder, name + ".pem"), os.path.join(folder, name + ".key")
        self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=" + name, "-keyout", self.key, "-out", self.cert)

    def openssl(self, *words):
        subprocess.run(["openssl", *words], check=True, capture_output=True)

    def give(self, name, address=None):
        """(certificate, key) files, of a server at an address or of a client."""
        cert, key, request = [os.path.join(self.folder, name + end) for end in (".pem", ".key", ".csr")]
        more = os.path.join(self.folder, name + ".ext")
        with open(more, "w") as f:
            f.write("subjectAltName=IP:%s\n" % address if address else "extendedKeyUsage=clientAuth\n")
        self.openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=" + name, "-keyout", key, "-out", request)
        self.openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days", "2", "-extfile", more,
                     "-out", cert)
        return cert, key


def write_layout(folder, image, tag="latest"):
    """An OCI layout of one image, for skopeo."""
    os.makedirs(os.path.join(folder, "blobs/sha256"), exist_ok=True)
    for name, blob in {**image.blobs, digest(image.manifest): image.manifest}.items():
        with open(os.path.join(folder, "blobs/sha256", name[7:]), "wb") as f:
            f.write(blob)
    with open(os.path.join(folder, "oci-layout"), "w") as f:
        f.write('{"imageLayoutVersion":"1.0.0"}')
    with open(os.path.join(folder, "index.json"), "w") as f:
        json.dump({"schemaVersion": 2, "manifests": [{"mediaType": image.media_type, "size": len(image.manifest),
                                                       "digest": digest(image.manifest),
                                                       "annotations": {"org.opencontainers.image.ref.name": tag}}]}, f)
