# The image of Vigil. Builds with BuildKit and with the legacy builder; docs/runbook/install.md tells how, also without
# internet and behind a proxy that opens TLS.
#
#   docker build --target service -t vigil .                          for CPUs
#   docker build --target service --build-arg TORCH=cuda -t vigil .   for NVIDIA GPUs
#   docker build --target train -t vigil-train .                      with pretraining and what training needs
ARG BASE=python:3.11-slim-bookworm

# ---- what every stage stands on: certificates, an init, fonts
FROM ${BASE} AS system
ARG DEBS="tini fonts-dejavu-core fonts-droid-fallback"
COPY deploy/ca /build/deploy/ca
COPY wheelhouse /build/wheelhouse
COPY deploy/image/system-packages /build/deploy/image/system-packages
RUN DEBS="$DEBS" /build/deploy/image/system-packages

# ---- the Python packages of the service, pinned by constraints.txt
FROM system AS packages
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt
WORKDIR /build
RUN python3 -m venv --without-pip /opt/vigil/venv
COPY constraints.txt ./
COPY deploy/image/install deploy/image/install-torch deploy/image/
# Another package index, where this network has a mirror.
ARG PIP_INDEX_URL
# cpu or cuda. TORCH_INDEX: where the CPU builds lie; empty where the wheelhouse, or your index, has them.
ARG TORCH=cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN ./deploy/image/install-torch "$TORCH"
COPY pyproject.toml ./
COPY deploy/image/requirements.py deploy/image/
# What reads and writes images. itk's algorithms weigh more than torch and nothing here calls them: ITK=all adds them.
ARG ITK="itk-core itk-io"
RUN python3 deploy/image/requirements.py service > requirements.txt \
    && ./deploy/image/install --requirement requirements.txt \
    && if [ "$ITK" = all ]; then ./deploy/image/install itk; \
       else ./deploy/image/install $ITK && ./deploy/image/install --no-deps itk; fi

FROM packages AS packages-slim
COPY deploy/image/slim deploy/image/
RUN ./deploy/image/slim

# ---- what both images are but for packages and code: a user, folders, surroundings
FROM ${BASE} AS runtime
COPY --from=system /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=system /usr/bin/tini /usr/bin/tini
COPY --from=system /usr/share/fonts/truetype/dejavu /usr/share/fonts/truetype/dejavu
COPY --from=system /usr/share/fonts-droid-fallback /usr/share/fonts-droid-fallback
# Nothing in a container may become somebody else; volumes take their owner from these folders.
RUN groupadd --gid 10001 vigil \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin vigil \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
    && install -d -o vigil -g vigil -m 750 /var/lib/vigil /var/lib/vigil/spool /var/lib/vigil/results \
       /var/lib/vigil/run /var/lib/vigil/bundles /var/lib/vigil/demo \
    && install -d -m 755 /etc/vigil /opt/vigil
# All that a library would like to write goes to /tmp, the one writable place beside the volumes (a tmpfs in compose).
ENV PATH=/opt/vigil/venv/bin:$PATH \
    PYTHONPATH=/opt/vigil \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    XDG_CACHE_HOME=/tmp/cache \
    MPLCONFIGDIR=/tmp/matplotlib \
    TORCH_HOME=/tmp/torch \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt \
    NVIDIA_VISIBLE_DEVICES=void \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /opt/vigil
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/tini", "-s", "--", "python", "-m", "app"]

# ---- the service
FROM runtime AS service
COPY --from=packages-slim /opt/vigil/venv /opt/vigil/venv
# A clone that was made with umask 027 or 077 is its owner's alone, and COPY keeps modes.
COPY LICENSE ./
COPY bundles ./bundles
COPY app ./app
RUN find app bundles LICENSE ! -perm -o=r -exec chmod a+rX {} + \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash app bundles \
    && python -c "import monai, torch, pydicom, SimpleITK, itk, nibabel, pynetdicom, yaml, prometheus_client"
ARG COMMIT=unknown
RUN printf '%s\n' "${COMMIT}" > app/COMMIT
USER 10001:10001
EXPOSE 11112 8080 9464
HEALTHCHECK --interval=30s --timeout=60s --start-period=180s --retries=3 \
    CMD ["python", "-m", "app", "health", "serve", "--config", "/etc/vigil/vigil.yaml"]
CMD ["serve", "--config", "/etc/vigil/vigil.yaml"]
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="vigil" \
      org.opencontainers.image.description="DICOM studies in, structured reports out. Research only." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"

# ---- the workshop: pretraining, training and evaluation, with every part of itk. Mount data and output as volumes.
FROM packages AS packages-train
ARG PIP_INDEX_URL
RUN python3 deploy/image/requirements.py train > requirements-train.txt \
    && ./deploy/image/install --requirement requirements-train.txt \
    && ./deploy/image/install itk
COPY deploy/image/slim deploy/image/
RUN ./deploy/image/slim

FROM runtime AS train
COPY --from=packages-train /opt/vigil/venv /opt/vigil/venv
COPY LICENSE ./
COPY bundles ./bundles
COPY pretraining ./pretraining
COPY app ./app
RUN find app bundles pretraining LICENSE ! -perm -o=r -exec chmod a+rX {} + \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash app bundles pretraining \
    && python -c "import matplotlib, pyarrow, sklearn, tensorboard, itk, pretraining.trainer"
USER 10001:10001
ENTRYPOINT ["/usr/bin/tini", "-s", "--"]
CMD ["python", "-m", "monai.bundle", "run", "--help"]
ARG VERSION=0.1.0
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="vigil-train" \
      org.opencontainers.image.description="The detectors and pretraining of Vigil, to train and evaluate. Research only." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"

# ---- what is built without a target
FROM service AS default
