# The image of an app that runs in a confidential virtual machine (TDX). Nothing in it
# is sealed or measured: its digest is what a run is named by. The app is what lies in
# src; .dockerignore keeps everything else out.

# yours: an image with what the app runs on. Pin it in mrelease.yaml, build.bases.
FROM python:3.12-slim

COPY src /app

# yours: the app.
ENTRYPOINT ["python3", "/app/app.py"]
