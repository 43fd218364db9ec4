# Sourced by the do_*.sh scripts: sets ENGINE to a container engine that answers, or says what to do.
IMAGE=${IMAGE:-quietfield}
for ENGINE in ${ENGINE:-docker podman}; do
  "$ENGINE" info >/dev/null 2>&1 && return
done
echo "no container engine answers (tried docker and podman): install one, start its service (Docker: 'systemctl" \
     "start docker', or Docker Desktop), see that your user may use it ('docker info'), and run this again" >&2
exit 1
