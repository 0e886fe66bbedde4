"""Names of Keras, PyTorch and scikit-learn that users write, and what they are here.

Each value completes a line such as 'Dense(units=...): here ...' or 'cnnx.Conv2D: here ...'.
"""

# Endings of files that are another library's.
FORMATS = {
    '.keras': 'Keras',
    '.h5': 'Keras',
    '.hdf5': 'Keras',
    '.pt': 'PyTorch',
    '.pth': 'PyTorch',
    '.onnx': 'ONNX',
    '.pb': 'TensorFlow',
    '.tflite': 'TensorFlow',
    '.pkl': 'pickle',
    '.pickle': 'pickle',
    '.joblib': 'joblib',
}

_CONVOLUTION = 'Convolutional(num_filters, kernel_size)'
_NETWORK = 'Network([Convolutional(...), ReLU(), ...])'
_NO_TENSOR = 'not needed: NumPy arrays are used as they are'
_OWN_LOSS = 'a subclass of cnnx.Loss that you write'
_BATCHES = 'not needed: train(x, y) cuts arrays into batches, and train(batches) takes an iterable of (x, y)'
_CROSS_ENTROPY = 'CategoricalCrossEntropy(), for class indices and for one-hot rows'
_OWN_LAYER = 'a subclass of cnnx.Layer that you write'
_LAYER_AFTER = 'a layer of its own, such as ReLU()'
_DATA = 'cnnx.data.load_dataset(name), or cnnx.data.load_folder(path) for images of your own'

# Names of modules.
NAMES = {
    'Activation': _LAYER_AFTER,
    'AdaptiveAvgPool2d': 'GlobalAveragePooling()',
    'AveragePooling2D': 'AveragePooling(pool_size)',
    'AvgPool2d': 'AveragePooling(pool_size)',
    'BCELoss': 'BinaryCrossEntropy() after a Sigmoid()',
    'BCEWithLogitsLoss': 'BinaryCrossEntropy(from_logits=True)',
    'BatchNorm': 'BatchNormalization()',
    'BatchNorm1d': 'BatchNormalization()',
    'BatchNorm2d': 'BatchNormalization()',
    'BinaryCrossentropy': 'BinaryCrossEntropy()',
    'CategoricalCrossentropy': _CROSS_ENTROPY,
    'Conv1D': 'Convolutional1D(num_filters, kernel_size), of signals (N, L, C)',
    'Conv1d': 'Convolutional1D(num_filters, kernel_size), of signals (N, L, C)',
    'Conv2D': _CONVOLUTION,
    'Conv2DTranspose': 'TransposedConvolutional(num_filters, kernel_size)',
    'Conv2d': _CONVOLUTION,
    'ConvTranspose2d': 'TransposedConvolutional(num_filters, kernel_size)',
    'Convolution2D': _CONVOLUTION,
    'CosineAnnealingLR': 'cnnx.schedules.Cosine(...)',
    'CosineDecay': 'cnnx.schedules.Cosine(...)',
    'CrossEntropyLoss': 'CategoricalCrossEntropy(from_logits=True); without from_logits after a Softmax()',
    'DataLoader': _BATCHES,
    'Dataset': _BATCHES,
    'Dropout2D': 'Dropout(rate)',
    'Dropout2d': 'Dropout(rate)',
    'EarlyStopping': 'cnnx.callbacks.EarlyStopping()',
    'Embedding': _OWN_LAYER,
    'ExponentialDecay': 'cnnx.schedules.Exponential(...)',
    'GlobalAveragePooling2D': 'GlobalAveragePooling()',
    'GlobalMaxPooling2D': 'GlobalMaxPooling()',
    'ImageDataGenerator': 'train(augment=[...]) with objects of cnnx.augmentation',
    'InputLayer': 'input_shape=, an argument of the first layer',
    'LSTM': _OWN_LAYER,
    'LayerNorm': 'LayerNormalization()',
    'LeakyRelu': 'LeakyReLU()',
    'LearningRateScheduler': 'train(learning_rate=schedule) with one of cnnx.schedules, or a function of (step, steps)',
    'Linear': 'Dense(input_size, output_size), or Dense(output_size)',
    'LogSoftmax': 'Softmax() with CategoricalCrossEntropy(), which computes with logits',
    'MLPClassifier': _NETWORK,
    'MNIST': _DATA,
    'KLDivLoss': 'KLDivergence() after a Softmax()',
    'L1Loss': 'MeanAbsoluteError()',
    'MSELoss': 'MeanSquaredError()',
    'MaxPool2D': 'MaxPooling(pool_size)',
    'MaxPool2d': 'MaxPooling(pool_size)',
    'MaxPooling2D': 'MaxPooling(pool_size)',
    'Model': _NETWORK,
    'ModelCheckpoint': 'train(checkpoint_dir=...), or cnnx.callbacks.BestCheckpoint(path)',
    'Module': 'Network([...]), or a subclass of cnnx.Layer that you write',
    'NLLLoss': 'CategoricalCrossEntropy() after a Softmax()',
    'RandomFlip': 'train(augment=[...]) with objects of cnnx.augmentation',
    'RandomRotation': 'train(augment=[...]) with objects of cnnx.augmentation',
    'ReduceLROnPlateau': 'train(learning_rate=cnnx.schedules.ReduceOnPlateau(...))',
    'Relu': 'ReLU()',
    'Rescaling': 'done before training: x / 255',
    'Sequential': _NETWORK,
    'SparseCategoricalCrossentropy': _CROSS_ENTROPY,
    'StepLR': 'cnnx.schedules.StepDecay(...)',
    'Tensor': _NO_TENSOR,
    'TensorDataset': _BATCHES,
    'ZeroPadding2D': "ZeroPadding(pixels), or padding='same' of Convolutional",
    'applications': 'cnnx.models',
    'backend': 'use_backend(name)',
    'cuda': 'not available: cnnx runs on the CPU',
    'datasets': _DATA,
    'device': 'not available: cnnx runs on the CPU',
    'fetch_openml': _DATA,
    'from_numpy': _NO_TENSOR,
    'functional': 'layers, such as ReLU()',
    'keras': 'cnnx itself: cnnx.Network, cnnx.Dense, ...',
    'load': 'Network.load(path)',
    'load_data': _DATA,
    'load_digits': _DATA,
    'load_mnist': _DATA,
    'load_model': 'Network.load(path)',
    'manual_seed': 'Network(seed=0)',
    'mnist': _DATA,
    'nn': 'cnnx itself: cnnx.Network, cnnx.Convolutional, cnnx.ReLU, ...',
    'no_grad': 'not needed: predict and evaluate keep nothing for a backward pass',
    'optim': 'cnnx.optimizers, or cnnx itself: cnnx.SGD, cnnx.Adam, ...',
    'preprocessing': _DATA,
    'random': 'Network(seed=0)',
    'relu': 'a layer: ReLU()',
    'save': 'net.save(path)',
    'sequential': _NETWORK,
    'set_random_seed': 'Network(seed=0)',
    'softmax': 'a layer: Softmax()',
    'tensor': _NO_TENSOR,
    'to_categorical': 'not needed: class indices (N,) are taken as they are',
    'train_test_split': 'cnnx.data.split(x, y)',
    'transforms': 'cnnx.augmentation',
    'utils': 'not available; class indices (N,) need no to_categorical',
}

_WEIGHTS = 'weights of each layer: layer.weights, layer.bias, to read and to write'
_TRAINING = 'not needed: train trains; predict, evaluate and net(x) do not; net.forward(x, training=True) does'
_CPU = 'not needed: cnnx runs on the CPU'
_DTYPE = "Network(dtype='float64') or 'float32'"

# Attributes of networks.
OF_NETWORK = {
    'append': 'add(layer)',
    'apply': 'a loop over net.layers',
    'build': 'done by add, which takes the shape from input_shape= of the first layer',
    'call': 'net(x)',
    'children': 'net.layers',
    'coefs_': _WEIGHTS,
    'count_params': 'sum(layer.parameter_count for layer in net.layers); summary() prints it',
    'cpu': _CPU,
    'cuda': _CPU,
    'double': _DTYPE,
    'eval': _TRAINING,
    'export': 'save(path), an .npz file',
    'fit': 'train(x, y, epochs, learning_rate)',
    'fit_generator': 'train(batches), an iterable of (x, y)',
    'float': _DTYPE,
    'get_layer': 'net.layers[index]',
    'get_params': 'not available; settings are arguments of the layers and of train',
    'get_weights': _WEIGHTS,
    'half': _DTYPE,
    'load_state_dict': 'load_weights(path)',
    'loss_curve_': "what train returns: history['loss']",
    'modules': 'net.layers',
    'named_parameters': 'parameters.items()',
    'output_shape': 'net.layers[-1].shape',
    'partial_fit': 'train_on_batch(x, y), or train(x, y, epochs=1)',
    'predict_generator': 'predict(batches)',
    'predict_on_batch': 'predict(x)',
    'predict_proba': 'predict(x)',
    'requires_grad_': 'trainable = False, of the network or of a layer',
    'save_model': 'save(path)',
    'score': "evaluate(x, y)['accuracy']",
    'set_params': 'not available; settings are arguments of the layers and of train',
    'set_weights': _WEIGHTS,
    'state_dict': 'save_weights(path); net.parameters is the dict',
    'test_on_batch': 'evaluate(x, y)',
    'to': _CPU,
    'to_json': 'save(path), which writes the architecture too',
    'train_step': 'train_on_batch(x, y)',
    'trainable_variables': 'trainable_parameters',
    'trainable_weights': 'trainable_parameters',
    'weights': _WEIGHTS,
    'zero_grad': 'not needed: backward overwrites gradients',
}
# Attributes of layers.
OF_LAYER = {
    'get_weights': 'weights and bias, or parameters',
    'in_channels': 'input_shape[-1]',
    'in_features': 'input_size',
    'kernel': 'weights',
    'output': 'what net.layers returns from forward, layer by layer',
    'set_weights': 'weights and bias, which can be assigned',
    'state_dict': 'parameters',
    'weight': 'weights',
}
# Attributes of optimizers.
OF_OPTIMIZER = {
    'apply_gradients': 'net.update(learning_rate)',
    'minimize': 'net.train_on_batch(x, y, learning_rate=...)',
    'param_groups': 'settings of the optimizer, and train(learning_rate=...)',
    'zero_grad': 'not needed: backward overwrites gradients',
}

_INPUT = 'left out: it follows from the layer before, or from input_shape= of the first layer'
_BIAS = 'left out: a bias begins at 0'
_REGULARIZER = 'l2=, a number'
_INITIALIZER = "kernel_initializer=, such as 'glorot_uniform'"
_NO_NAMES = 'left out: layers have their index'
_NHWC = 'left out: images are (N, H, W, C)'

# Keywords of layers.
LAYER_KEYWORDS = {
    'activation': 'a layer of its own after this one, such as ReLU()',
    'affine': 'left out',
    'axis': 'left out: the last axis has the channels',
    'batch_input_shape': 'input_shape=, without the batch axis',
    'bias': 'use_bias=',
    'bias_initializer': _BIAS,
    'ceil_mode': "padding='same'",
    'data_format': _NHWC,
    'dilation_rate': 'dilation=, of Convolutional',
    'dim': 'left out: a softmax goes over the classes, the last axis',
    'dtype': "an argument of the network: Network(dtype='float64')",
    'eps': 'epsilon=',
    'filters': 'num_filters=',
    'in_channels': _INPUT,
    'in_features': 'input_size=, or left out',
    'inplace': 'left out',
    'input_dim': 'input_shape=(size,), or input_size= of Dense',
    'kernel_regularizer': _REGULARIZER,
    'kernel_size': 'pool_size=',
    'l2_reg': _REGULARIZER,
    'name': _NO_NAMES,
    'num_features': _INPUT,
    'out_channels': 'num_filters=',
    'out_features': 'output_size=',
    'p': 'rate=',
    'padding_mode': "left out: padding='same' pads with zeros",
    'seed': 'an argument of the network: Network(seed=0)',
    'start_dim': 'left out: all axes but the batch axis',
    'strides': 'stride=',
    'units': 'output_size=',
    'weight_init': _INITIALIZER,
    'weights_initializer': _INITIALIZER,
}
NETWORK_KEYWORDS = {
    'input_shape': 'an argument of the first layer',
    'name': 'left out',
    'random_state': 'seed=',
}
COMPILE_KEYWORDS = {
    'jit_compile': 'left out: the kernels are compiled',
    'learning_rate': 'an argument of train',
    'loss_weights': 'left out: a network has one output',
    'lr': 'learning_rate=, an argument of train',
    'optimiser': 'optimizer=',
    'run_eagerly': 'Network(fused=False), which runs layers one by one',
    'weighted_metrics': 'metrics=; evaluate counts each sample as 1 in them',
}
TRAIN_KEYWORDS = {
    'X': 'x=',
    'batch': 'batch_size=',
    'class_weights': 'class_weight=, a dict by class',
    'early_stopping': 'callbacks=[cnnx.callbacks.EarlyStopping()]',
    'eta': 'learning_rate=',
    'generator': 'x=, an iterable of batches (x, y)',
    'initial_epoch': 'resume_from_checkpoint=True',
    'loss': 'an argument of compile',
    'lr': 'learning_rate=',
    'max_epochs': 'epochs=',
    'max_iter': 'epochs=',
    'metrics': 'an argument of compile',
    'n_epochs': 'epochs=',
    'nb_epoch': 'epochs=',
    'num_epochs': 'epochs=',
    'optimizer': 'an argument of compile',
    'patience': 'an argument of cnnx.callbacks.EarlyStopping',
    'schedule': 'learning_rate=, which takes a schedule',
    'scheduler': 'learning_rate=, which takes a schedule',
    'val_data': 'validation_data=',
    'validation_batch_size': 'left out',
    'validation_fraction': 'validation_split=',
    'validation_freq': 'left out: each epoch is validated',
    'workers': 'left out',
}
EVALUATE_KEYWORDS = {
    'callbacks': 'an argument of train',
    'return_dict': 'left out: the result is a dict',
    'verbose': 'left out: nothing is printed',
    'workers': 'left out',
}
OPTIMIZER_KEYWORDS = {
    'alpha': 'rho=',
    'amsgrad': 'not available',
    'beta1': 'beta_1=',
    'beta2': 'beta_2=',
    'betas': 'beta_1= and beta_2=',
    'centered': 'not available',
    'clipnorm': 'clip_norm=, of all gradients together',
    'clipvalue': 'clip_norm=, of all gradients together',
    'dampening': 'not available',
    'decay': 'a schedule: train(learning_rate=cnnx.schedules.Exponential(...))',
    'eps': 'epsilon=',
    'global_clipnorm': 'clip_norm=',
    'initial_accumulator_value': 'left out: it is 0',
    'lr_decay': 'a schedule: train(learning_rate=cnnx.schedules.Exponential(...))',
    'params': 'left out: the network that is compiled with it gives them',
}
CALLBACK_KEYWORDS = {
    'filepath': 'path=',
    'mode': 'left out: larger is better for accuracy and the like, smaller for a loss',
    'restore_best_weights': 'restore_best=',
    'save_best_only': 'left out: BestCheckpoint saves the best alone',
    'verbose': 'left out: train(verbose=...) is for all',
}
SCHEDULE_KEYWORDS = {
    'T_max': 'left out: it ends with the run',
    'base_lr': 'initial=',
    'decay_rate': 'factor=',
    'decay_steps': 'left out: it ends with the run',
    'eta_min': 'final=',
    'gamma': 'factor=',
    'initial_learning_rate': 'initial=',
    'learning_rate': 'initial=',
    'lr': 'initial=',
    'max_lr': 'maximum=',
    'min_delta': 'threshold=, a fraction',
    'min_lr': 'minimum=',
    'optimizer': 'left out: train(learning_rate=schedule) takes it',
    'step_size': 'every=',
    'total_steps': 'left out: it ends with the run',
}
# Names of losses that are not there.
LOSSES = {
    'hinge': _OWN_LOSS,
    'log_cosh': _OWN_LOSS,
}
