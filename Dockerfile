# docker build -t semlink . && docker run --rm -v "$PWD/results:/semlink/results" semlink sweep --out results/demo
# For a GPU: --build-arg BASE=nvidia/cuda:12.8.1-runtime-ubuntu24.04, PYTHON_PACKAGES="python3 python3-venv make", and
# docker run --gpus all.
ARG BASE=python:3.12-slim
FROM ${BASE}
ARG PYTHON_PACKAGES="make"
RUN apt-get update && apt-get install -y --no-install-recommends ${PYTHON_PACKAGES} && rm -rf /var/lib/apt/lists/*
WORKDIR /semlink
COPY . .
RUN make setup
ENV PATH=/semlink/.venv/bin:$PATH
ENTRYPOINT ["semlink"]
CMD ["--help"]
