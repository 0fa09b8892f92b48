"""The web page and the API: upload a face, use the camera, watch and steer training. Never imports Keras."""
